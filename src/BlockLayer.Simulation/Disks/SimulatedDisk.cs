using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>One open file of a <see cref="SimulatedStorageProvider"/>.</summary>
public sealed class SimulatedDisk : BlockStorage
{
    private readonly RequestQueue _queue;
    private readonly CachedFile _file;
    private readonly string _path;
    private readonly ImageLockTable.Entry? _lock;
    private bool _disposed;

    internal SimulatedDisk(RequestQueue queue, CachedFile file, string name, string path, StorageIdentity identity, bool isReadOnly, ImageLockTable.Entry? imageLock)
    {
        _queue = queue;
        _file = file;
        _path = path;
        _lock = imageLock;
        Name = name;
        Identity = identity;
        IsReadOnly = isReadOnly;
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override long Length => _file.Current.Length;

    /// <inheritdoc/>
    public override bool IsReadOnly { get; }

    /// <inheritdoc/>
    public override StorageIdentity Identity { get; }

    /// <inheritdoc/>
    public override long? AllocatedLength => _file.Current.AllocatedBytes;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => SubmitAsync(StorageOperations.Read, offset, buffer.Length, call => Read(call.Offset, buffer.Span), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, IReadOnlyList<Memory<byte>> buffers, CancellationToken cancellationToken)
        => SubmitAsync(StorageOperations.Read, offset, buffers.Sum(buffer => (long)buffer.Length), call => Read(call.Offset, buffers), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => ChangeAsync(StorageOperations.Write, offset, buffer.Length, buffer, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, IReadOnlyList<ReadOnlyMemory<byte>> buffers, CancellationToken cancellationToken)
    {
        byte[] gathered = new byte[buffers.Sum(buffer => (long)buffer.Length)];
        int at = 0;
        foreach (ReadOnlyMemory<byte> buffer in buffers)
        {
            buffer.CopyTo(gathered.AsMemory(at));
            at += buffer.Length;
        }

        return ChangeAsync(StorageOperations.Write, offset, gathered.Length, gathered, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => ChangeAsync(StorageOperations.WriteZeroes, offset, length, data: default, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => ChangeAsync(StorageOperations.Discard, offset, length, data: default, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
        => ChangeAsync(StorageOperations.SetLength, length, length: 0, data: default, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        var call = new StorageCall(StorageOperations.Flush, _path, 0, 0);
        return _queue.AfterBreakpoint(call, () => Flush(call));
    }

    /// <inheritdoc/>
    public override async ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        StorageExtent extent = default;
        await SubmitAsync(StorageOperations.GetExtent, offset, length, call => extent = GetExtent(call.Offset, call.Length), cancellationToken).ConfigureAwait(false);
        return extent;
    }

    internal override ValueTask ChangeLockAsync(ImageLock wanted)
    {
        try
        {
            (_lock ?? throw ImageLock.NotHeld(Name)).Change(wanted, Name);
            return ValueTask.CompletedTask;
        }
        catch (BlockLayerException refusal)
        {
            return ValueTask.FromException(refusal);
        }
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        if (!_disposed)
        {
            _disposed = true;
            _lock?.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>A request that changes nothing.</summary>
    private ValueTask SubmitAsync(StorageOperations kind, long offset, long length, Action<StorageCall> perform, CancellationToken cancellationToken)
    {
        CheckRange(offset, length);
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        if (length == 0)
        {
            return ValueTask.CompletedTask;
        }

        var call = new StorageCall(kind, _path, offset, length);
        return _queue.AfterBreakpoint(call, () => _queue.SubmitAsync(call, fault =>
        {
            if (fault?.Effect is FaultEffect.Fail or FaultEffect.FailPartly or FaultEffect.FailAfterwards)
            {
                throw fault.CreateError(call);
            }

            if (fault?.Effect != FaultEffect.Lie)
            {
                perform(call);
            }
        }));
    }

    /// <summary>A request that changes bytes or the length (then <paramref name="offset"/> is the new length).</summary>
    private ValueTask ChangeAsync(StorageOperations kind, long offset, long length, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        CheckRange(offset, length);
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        if (IsReadOnly)
        {
            return ValueTask.FromException(new BlockLayerException(BlockErrorKind.ReadOnly, "Write refused: the file was opened for reading.") { Path = Name, Offset = offset });
        }

        if (length == 0 && kind != StorageOperations.SetLength)
        {
            return ValueTask.CompletedTask;
        }

        var call = new StorageCall(kind, _path, offset, length);
        return _queue.AfterBreakpoint(call, () =>
        {
            // The caller's buffer is its own again when the request completes, but the change can still be lost or torn after that.
            PendingOperation operation = _file.Issue(call, data.ToArray());
            return _queue.SubmitAsync(call, fault => Change(operation, fault));
        });
    }

    private ValueTask Flush(StorageCall call)
    {
        long point = _file.BeginFlush();
        return _queue.SubmitAsync(call, fault =>
        {
            switch (fault?.Effect)
            {
                case FaultEffect.Fail:
                    throw fault.CreateError(call);
                case FaultEffect.FailPartly:
                    _file.DropDirty(point, _queue.Random);
                    throw fault.CreateError(call);
                case FaultEffect.FailAfterwards:
                    _file.EndFlush(point);
                    throw fault.CreateError(call);
                case FaultEffect.Lie:
                    break;
                default:
                    _file.EndFlush(point);
                    break;
            }
        });
    }

    private void Change(PendingOperation operation, FaultRule? fault)
    {
        switch (fault?.Effect)
        {
            case FaultEffect.Fail:
                _file.Abandon(operation);
                throw fault.CreateError(operation.Call);
            case FaultEffect.FailPartly when operation.CanTear:
                _file.Complete(operation, SectorPattern.Seeded((uint)_queue.Random.NextUInt64()));
                throw fault.CreateError(operation.Call);
            case FaultEffect.FailPartly:
                _file.Abandon(operation);
                throw fault.CreateError(operation.Call);
            case FaultEffect.FailAfterwards:
                _file.Complete(operation, SectorPattern.All);
                throw fault.CreateError(operation.Call);
            case FaultEffect.Lie:
                _file.Abandon(operation);
                break;
            default:
                _file.Complete(operation, SectorPattern.All);
                break;
        }
    }

    private void Read(long offset, Span<byte> buffer)
    {
        if (!buffer.IsEmpty && buffer.Length > Length - offset)
        {
            throw new BlockLayerException(
                BlockErrorKind.Io, $"Read of {buffer.Length} bytes at {offset} met the end of the file, which is {Length} bytes long.")
            { Path = Name, Offset = offset };
        }

        _file.Current.Read(offset, buffer);
    }

    private void Read(long offset, IReadOnlyList<Memory<byte>> buffers)
    {
        foreach (Memory<byte> buffer in buffers)
        {
            Read(offset, buffer.Span);
            offset += buffer.Length;
        }
    }

    private StorageExtent GetExtent(long offset, long length)
    {
        long end = Math.Min(checked(offset + length), Math.Max(offset + 1, Length));
        long data = _file.Current.FindData(offset);
        return data > offset
            ? new StorageExtent(Math.Min(data, end) - offset, IsHole: true)
            : new StorageExtent(_file.Current.FindHole(offset, end) - offset, IsHole: false);
    }

    private void CheckRange(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
    }
}
