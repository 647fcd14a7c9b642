using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// The protocol node: a file, as blocks. It grows when written past its end, knows the holes of its file, shares one sync among the flushes that were
/// called before it began, and refuses everything after a sync that failed.
/// </summary>
/// <remarks>
/// Why a failed sync is final: the kernel may have marked the pages clean that it could not write, so a second sync would succeed and mean nothing.
/// The first flush always syncs, although nothing was written yet: a process that died before us may have left bytes that only the page cache holds.
/// <para>A node that was opened read-only can be written for a while, through a second open of its file; the image lock stays with the first, which a failure of the
/// second does not touch and which needs nothing to go back to.</para>
/// </remarks>
internal sealed class StorageNode : BlockNode
{
    // Where a file is one long run of data, tmpfs looks at every page up to its end to say so. Asking for the run once instead of once a step keeps a
    // walk over the file from being quadratic.
    private const long StatusLookAhead = 1L << 30;

    private readonly BlockStorage _opened; // what the node was made with; holds the image lock
    private BlockStorage _storage;         // where requests go: the same, or a second open of the file to write it. Changes while nobody is inside
    private readonly Lock _flushGate = new();
    private Completion? _running;       // guarded by _flushGate: the sync that runs now
    private Completion? _next;          // guarded by _flushGate: the sync that starts after it, for flushes called meanwhile
    private BlockLayerException? _fatal; // set once, by the sync that failed
    private long _written = 1;          // interlocked: moves on with every change
    private long _synced;               // guarded by _flushGate: value of _written that is durable
    private KnownData? _knownData;      // volatile: the run of data that was found last

    internal StorageNode(BlockStorage storage, BlockEnvironment environment)
        : base(storage.Name, environment, storage.IsReadOnly ? NodeAccess.ReadOnly : NodeAccess.ReadWrite)
    {
        _storage = _opened = storage;
        SetLength(storage.Length);
    }

    /// <inheritdoc/>
    public override string DriverName => "file";

    /// <inheritdoc/>
    public override string? Path => _storage.Name;

    /// <summary>The file underneath.</summary>
    internal BlockStorage Storage => _storage;

    private protected override bool GrowsOnWrite => true;

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => _storage.ReadAsync(offset, buffer, cancellationToken);

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_fatal is { } fatal)
        {
            return ValueTask.FromException(Refusal(fatal));
        }

        ValueTask write = _storage.WriteAsync(offset, buffer, cancellationToken);
        return write.IsCompletedSuccessfully ? Written(write, offset + buffer.Length) : WrittenLaterAsync(write, offset + buffer.Length);
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        ThrowIfFatal();
        ZeroMode mode = (flags & ZeroFlags.MayUnmap) != 0 ? ZeroMode.MayUnmap : ZeroMode.KeepAllocated;
        try
        {
            await _storage.WriteZeroesAsync(offset, length, mode, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Increment(ref _written);
        }

        RaiseLength(offset + length);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ThrowIfFatal();
        try
        {
            await _storage.DiscardAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Increment(ref _written);
        }
    }

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        const StatusFlags Here = StatusFlags.Allocated | StatusFlags.HostOffsetValid;
        long version = Interlocked.Read(ref _written);
        if (Volatile.Read(ref _knownData) is { } known && known.Version == version && known.Range.Offset <= offset && offset < known.Range.End)
        {
            return new BlockStatus(StatusFlags.Data | Here, Math.Min(length, known.Range.End - offset), offset, this);
        }

        long asked = Math.Max(length, Math.Min(StatusLookAhead, Length - offset));
        StorageExtent extent = await _storage.GetExtentAsync(offset, asked, cancellationToken).ConfigureAwait(false);
        if (extent.Length < 1)
        {
            // Whoever walks a file by such answers never arrives.
            throw Error(BlockErrorKind.Io, $"The storage says that a run of '{NodeName}' at byte {offset} is {extent.Length} bytes long; it is at least 1.", offset: offset);
        }

        // Storage may be somebody else's: what it says of bytes that were not asked for is not remembered.
        long run = Math.Min(extent.Length, asked);
        if (!extent.IsHole)
        {
            Volatile.Write(ref _knownData, new KnownData(new ByteRange(offset, run), version));
        }

        return new BlockStatus((extent.IsHole ? StatusFlags.Zero : StatusFlags.Data) | Here, Math.Min(length, run), offset, this);
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        ThrowIfFatal();
        if (options.Preallocation == Preallocation.Metadata)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is a plain file, which has no metadata to preallocate; preallocation can be off, falloc or full.");
        }

        long oldLength = Length;
        if (options.Preallocation == Preallocation.Falloc && length > oldLength)
        {
            await WriteZeroesCoreAsync(oldLength, length - oldLength, ZeroFlags.None, cancellationToken).ConfigureAwait(false);
        }
        else if (options.Preallocation == Preallocation.Full && length > oldLength)
        {
            await base.WriteZeroesCoreAsync(oldLength, length - oldLength, ZeroFlags.None, cancellationToken).ConfigureAwait(false); // as data
        }

        try
        {
            await _storage.SetLengthAsync(length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Increment(ref _written);
        }

        SetLength(length);
    }

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        Completion mine;
        lock (_flushGate)
        {
            if (_fatal is { } fatal)
            {
                return ValueTask.FromException(Refusal(fatal));
            }

            if (_running is null)
            {
                if (Interlocked.Read(ref _written) == _synced || IsReadOnly)
                {
                    return ValueTask.CompletedTask;
                }

                mine = _running = new Completion();
            }
            else
            {
                // The sync that runs may have begun before our writes completed, so it does not count for us.
                _next ??= new Completion();
                return _next.WaitAsync(cancellationToken);
            }
        }

        ValueTask done = mine.WaitAsync(cancellationToken);
        _ = RunSyncsAsync(mine); // observes its own failures: they are given to whoever waits
        return done;
    }

    private protected override async ValueTask CloseCoreAsync()
    {
        try
        {
            await SettleToReadAsync().ConfigureAwait(false);
        }
        finally
        {
            await CloseFilesAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Opens the file once more, to write it, and takes a writer's lock beside those of others. The second open has no lock, so nobody sees two, and the first
    /// keeps hold of its own throughout.
    /// </summary>
    private protected override async ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
    {
        ThrowIfFatal();
        BlockStorage writable = await Environment.Files.OpenAsync(_opened.Name, new StorageOpenOptions { Writable = true }, cancellationToken).ConfigureAwait(false);
        try
        {
            if (writable.Identity != _opened.Identity)
            {
                throw Error(BlockErrorKind.Conflict, $"'{_opened.Name}' leads to another file than the one that is open: that was renamed or replaced.");
            }

            await _opened.ChangeLockAsync(ImageLock.Writer).ConfigureAwait(false);
        }
        catch
        {
            await writable.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        _storage = writable;
        RaiseLength(writable.Length); // a write that failed when it was written before may have made it longer
    }

    /// <summary>Asks for the lock that is held already: storage that cannot change it says so.</summary>
    internal override ValueTask ThrowIfCannotEndWritingAsync()
        => _storage == _opened && !_opened.IsReadOnly ? _opened.ChangeLockAsync(ImageLock.Writer) : ValueTask.CompletedTask;

    /// <summary>Makes durable what was changed through this node. Where a sync has failed, whoever asked for it knows.</summary>
    internal override async ValueTask SettleToReadAsync()
    {
        // A flush whose caller gave up waiting is no request any more, but its sync still uses the file.
        while (RunningSync is { } running)
        {
            await running.WaitAsync().ConfigureAwait(false);
        }

        bool changedByUs = Interlocked.Read(ref _written) > Math.Max(1, _synced);
        if (changedByUs && _fatal is null)
        {
            await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private protected override async ValueTask EndWritingCoreAsync()
    {
        if (_storage == _opened)
        {
            if (!_opened.IsReadOnly)
            {
                await _opened.ChangeLockAsync(ImageLock.Reader).ConfigureAwait(false); // a file that was opened to be written, and will not be any more
            }

            return;
        }

        BlockStorage writable = _storage;
        _storage = _opened;
        await writable.DisposeAsync().ConfigureAwait(false); // before others may write
        await _opened.ChangeLockAsync(ImageLock.Reader).ConfigureAwait(false);
    }

    private async ValueTask CloseFilesAsync()
    {
        if (_storage != _opened)
        {
            await _storage.DisposeAsync().ConfigureAwait(false);
        }

        await _opened.DisposeAsync().ConfigureAwait(false);
    }

    private Completion? RunningSync
    {
        get
        {
            lock (_flushGate)
            {
                return _running;
            }
        }
    }

    private ValueTask Written(ValueTask write, long end)
    {
        write.GetAwaiter().GetResult();
        Interlocked.Increment(ref _written);
        RaiseLength(end);
        return ValueTask.CompletedTask;
    }

    private async ValueTask WrittenLaterAsync(ValueTask write, long end)
    {
        try
        {
            await write.ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Increment(ref _written); // a failed write may have changed something
        }

        RaiseLength(end);
    }

    private async Task RunSyncsAsync(Completion? current)
    {
        while (current is not null)
        {
            long covered = Interlocked.Read(ref _written);
            BlockLayerException? failure = null;
            try
            {
                await _storage.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                failure = error as BlockLayerException ?? Error(BlockErrorKind.Io, $"'{NodeName}' could not be flushed: {error.Message}", cause: error);
            }

            Completion finished = current;
            Completion? refused = null;
            lock (_flushGate)
            {
                if (failure is null)
                {
                    _synced = covered;
                }
                else
                {
                    _fatal ??= failure;
                }

                (current, _next) = (_next, null);
                if (_fatal is not null)
                {
                    (refused, current) = (current, null);
                }

                _running = current;
            }

            using ReadyList.Scope scope = ReadyList.Enter();
            if (failure is null)
            {
                finished.Complete();
            }
            else
            {
                finished.Fail(failure);
                refused?.Fail(Refusal(failure));
            }
        }
    }

    private void ThrowIfFatal()
    {
        if (_fatal is { } fatal)
        {
            throw Refusal(fatal);
        }
    }

    private BlockLayerException Refusal(BlockLayerException fatal)
        => Error(fatal.Kind, $"'{NodeName}' failed to flush and takes no more writes until it is reopened: {fatal.Message}", cause: fatal);

    /// <summary>A run of data, as long as nothing has been written since. Calling zeroes data is allowed, so another program that punches a hole does no harm.</summary>
    private sealed record KnownData(ByteRange Range, long Version);
}
