using System.Diagnostics;
using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// A file of the local machine. Decides for every request which thread pays: the caller's, when it only moves memory, or one of
/// <see cref="BlockingThreads"/>.
/// </summary>
/// <remarks>
/// Served by the caller's thread: reads that the page cache (or a file system in memory) can answer, writes of at most <see cref="MaxInlineWrite"/>
/// bytes, all writes of a thread that is there to copy, and questions about extents and length. A buffered write is a copy to the page cache; it blocks only where the kernel throttles a writer
/// that is too far ahead of the disk, which is what should happen to him. Everything else goes
/// to a thread that may block.
/// <para>
/// A failed flush is final: the kernel may have dropped the pages it could not write, and a second fsync would report success. Every later write and
/// flush fails with the first error until the file is opened anew.
/// </para>
/// </remarks>
internal sealed class LocalFile : BlockStorage
{
    /// <summary>
    /// Larger writes go to another thread. Measured (ext4, overwrite in the page cache): 4 KiB 1.6 us, 64 KiB 15 us, and a hop to a thread and back 10.
    /// </summary>
    internal const int MaxInlineWrite = 64 * 1024;

    /// <summary>Calls kept for reuse; more than this in flight allocate.</summary>
    private const int MaxFreeCalls = 256;

    private readonly PlatformFile _file;

    private readonly Lock _poolGate = new();
    private LocalFileCall? _freeCalls; // guarded by _poolGate
    private int _freeCallCount;        // guarded by _poolGate

    private BlockLayerException? _flushError; // set once

    internal LocalFile(PlatformFile file, bool isReadOnly)
    {
        _file = file;
        IsReadOnly = isReadOnly;
    }

    /// <inheritdoc/>
    public override string Name => _file.Path;

    /// <inheritdoc/>
    public override long Length => _file.GetLength();

    /// <inheritdoc/>
    public override bool IsReadOnly { get; }

    /// <inheritdoc/>
    public override StorageIdentity Identity => _file.Info.Identity;

    /// <inheritdoc/>
    public override long? AllocatedLength => _file.GetAllocatedLength();

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (buffer.IsEmpty || cancellationToken.IsCancellationRequested)
        {
            return NothingToDo(cancellationToken);
        }

        int read = _file.TryReadNow(buffer.Span, offset);
        return read == buffer.Length
            ? ValueTask.CompletedTask
            : GoOn(LocalRequestKind.Read, offset, new BufferCursor(buffer), read, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, IReadOnlyList<Memory<byte>> buffers, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        var cursor = new BufferCursor(buffers);
        if (cursor.IsAtEnd || cancellationToken.IsCancellationRequested)
        {
            return NothingToDo(cancellationToken);
        }

        int read = _file.TryReadNow(cursor, offset);
        return read == cursor.Remaining
            ? ValueTask.CompletedTask
            : GoOn(LocalRequestKind.Read, offset, cursor, read, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (RefusesWrites(offset) is { } refusal)
        {
            return ValueTask.FromException(refusal);
        }

        if (buffer.IsEmpty || cancellationToken.IsCancellationRequested)
        {
            return NothingToDo(cancellationToken);
        }

        int written = IsForCaller(buffer.Length) ? _file.TryWriteNow(buffer.Span, offset) : PlatformFile.WouldBlock;
        return written == buffer.Length
            ? ValueTask.CompletedTask
            : GoOn(LocalRequestKind.Write, offset, new BufferCursor(buffer), written, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, IReadOnlyList<ReadOnlyMemory<byte>> buffers, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (RefusesWrites(offset) is { } refusal)
        {
            return ValueTask.FromException(refusal);
        }

        var cursor = new BufferCursor(buffers);
        if (cursor.IsAtEnd || cancellationToken.IsCancellationRequested)
        {
            return NothingToDo(cancellationToken);
        }

        long length = cursor.Remaining;
        int written = IsForCaller(length) ? _file.TryWriteNow(cursor, offset) : PlatformFile.WouldBlock;
        return written == length
            ? ValueTask.CompletedTask
            : GoOn(LocalRequestKind.Write, offset, cursor, written, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => Change(new LocalRequest { Kind = LocalRequestKind.WriteZeroes, Offset = offset, Length = length, Zeroes = mode }, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => Change(new LocalRequest { Kind = LocalRequestKind.Discard, Offset = offset, Length = length }, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return RefusesWrites(offset: null) is { } refusal
            ? ValueTask.FromException(refusal)
            : Rent().StartVoid(new LocalRequest { Kind = LocalRequestKind.SetLength, Length = length }, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken)
        => IsReadOnly
            ? NothingToDo(cancellationToken)
            : Rent().StartVoid(new LocalRequest { Kind = LocalRequestKind.Flush }, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        return cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<StorageExtent>(cancellationToken)
            : new ValueTask<StorageExtent>(_file.GetExtent(offset, length));
    }

    /// <inheritdoc/>
    public override ValueTask<long> TryCopyToAsync(
        long offset, BlockStorage target, long targetOffset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(targetOffset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (target is not LocalFile file || length == 0)
        {
            return new ValueTask<long>(0L);
        }

        if (file.RefusesWrites(targetOffset) is { } refusal)
        {
            return ValueTask.FromException<long>(refusal);
        }

        var request = new LocalRequest { Kind = LocalRequestKind.Copy, Offset = offset, Length = length, Target = file, TargetOffset = targetOffset };
        return Rent().Start(request, cancellationToken);
    }

    internal override ValueTask ChangeLockAsync(ImageLock wanted) => new(Task.Run(() => _file.ChangeLock(wanted)));

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Does what a call asks for, on the thread that pays for it; the result of a copy, else 0.</summary>
    internal long Perform(ref LocalRequest request)
    {
        switch (request.Kind)
        {
            case LocalRequestKind.Read:
                ReadAll(ref request);
                return 0;
            case LocalRequestKind.Write:
                WriteAll(ref request);
                return 0;
            case LocalRequestKind.WriteZeroes:
                _file.WriteZeroes(request.Offset, request.Length, request.Zeroes);
                return 0;
            case LocalRequestKind.Discard:
                DiscardInside(request.Offset, request.Length);
                return 0;
            case LocalRequestKind.SetLength:
                _file.SetLength(request.Length);
                return 0;
            case LocalRequestKind.Flush:
                Flush();
                return 0;
            default:
                Debug.Assert(request.Kind == LocalRequestKind.Copy, "every kind has its case");
                return _file.CopyTo(request.Offset, request.Target!._file, request.TargetOffset, request.Length);
        }
    }

    /// <summary>Takes back a call whose result has been fetched.</summary>
    internal void Recycle(LocalFileCall call)
    {
        lock (_poolGate)
        {
            if (_freeCallCount < MaxFreeCalls)
            {
                call.NextFree = _freeCalls;
                _freeCalls = call;
                _freeCallCount++;
            }
        }
    }

    private static ValueTask NothingToDo(CancellationToken cancellationToken)
        => cancellationToken.IsCancellationRequested ? ValueTask.FromCanceled(cancellationToken) : ValueTask.CompletedTask;

    private static bool IsForCaller(long written) => written <= MaxInlineWrite || BlockingThreads.IsCopying;

    private LocalFileCall Rent()
    {
        lock (_poolGate)
        {
            if (_freeCalls is { } call)
            {
                _freeCalls = call.NextFree;
                call.NextFree = null;
                _freeCallCount--;
                return call;
            }
        }

        return new LocalFileCall(this);
    }

    /// <summary>Hands the rest of a transfer to a thread that may block. Once bytes have moved the token counts no more.</summary>
    private ValueTask GoOn(LocalRequestKind kind, long offset, BufferCursor buffers, int done, CancellationToken cancellationToken)
    {
        if (done > 0)
        {
            buffers.Advance(done);
            offset += done;
            cancellationToken = CancellationToken.None;
        }

        return Rent().StartVoid(new LocalRequest { Kind = kind, Offset = offset, Buffers = buffers }, cancellationToken);
    }

    private ValueTask Change(in LocalRequest request, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(request.Offset, "offset");
        ArgumentOutOfRangeException.ThrowIfNegative(request.Length, "length");
        if (RefusesWrites(request.Offset) is { } refusal)
        {
            return ValueTask.FromException(refusal);
        }

        return request.Length == 0 ? NothingToDo(cancellationToken) : Rent().StartVoid(request, cancellationToken);
    }

    private BlockLayerException? RefusesWrites(long? offset)
    {
        if (IsReadOnly)
        {
            return new BlockLayerException(BlockErrorKind.ReadOnly, "The file is open for reading only.") { Path = Name, Offset = offset };
        }

        return Volatile.Read(ref _flushError) is { } cause ? AfterFailedFlush(cause, offset) : null;
    }

    private BlockLayerException AfterFailedFlush(BlockLayerException cause, long? offset)
        => new(cause.Kind, $"An earlier flush failed and the file has to be opened anew. {cause.Message}", cause) { Path = Name, Offset = offset };

    private void ReadAll(ref LocalRequest request)
    {
        while (!request.Buffers.IsAtEnd)
        {
            int read = _file.Read(request.Buffers, request.Offset);
            if (read == 0)
            {
                throw new BlockLayerException(
                    BlockErrorKind.Io, $"Read of {request.Buffers.Remaining} bytes at {request.Offset} met the end of the file, which is {Length} bytes long.")
                { Path = Name, Offset = request.Offset };
            }

            request.Buffers.Advance(read);
            request.Offset += read;
        }
    }

    private void WriteAll(ref LocalRequest request)
    {
        while (!request.Buffers.IsAtEnd)
        {
            int written = _file.Write(request.Buffers, request.Offset);
            request.Buffers.Advance(written);
            request.Offset += written;
        }
    }

    private void DiscardInside(long offset, long length)
    {
        long end = Length;
        if (offset < end)
        {
            _file.Discard(offset, Math.Min(length, end - offset));
        }
    }

    private void Flush()
    {
        if (Volatile.Read(ref _flushError) is { } earlier)
        {
            throw AfterFailedFlush(earlier, offset: null);
        }

        try
        {
            _file.Flush();
        }
        catch (BlockLayerException error)
        {
            Interlocked.CompareExchange(ref _flushError, error, null);
            throw;
        }
    }
}
