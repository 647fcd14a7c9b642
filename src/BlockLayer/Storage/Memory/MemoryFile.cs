using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>An opened file in memory. Every call completes before it returns; nothing is ever lost, so a flush has nothing to do.</summary>
internal sealed class MemoryFile : BlockStorage
{
    private readonly MemoryFileContent _content;
    private readonly ImageLockTable.Entry? _lock;
    private int _closed; // interlocked

    internal MemoryFile(string path, MemoryFileContent content, bool isReadOnly, ImageLockTable.Entry? imageLock)
    {
        Name = path;
        IsReadOnly = isReadOnly;
        _content = content;
        _lock = imageLock;
        content.AddUse();
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override bool IsReadOnly { get; }

    /// <inheritdoc/>
    public override long Length => _content.Length;

    /// <inheritdoc/>
    public override StorageIdentity Identity => _content.Identity;

    /// <inheritdoc/>
    public override long? AllocatedLength => _content.AllocatedLength;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        RequireUsable(offset, buffer.Length);
        if (buffer.IsEmpty || cancellationToken.IsCancellationRequested)
        {
            return Done(cancellationToken);
        }

        try
        {
            _content.Read(offset, buffer.Span, Name);
            return ValueTask.CompletedTask;
        }
        catch (BlockLayerException error)
        {
            return ValueTask.FromException(error);
        }
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        RequireUsable(offset, buffer.Length);
        if (IsReadOnly)
        {
            return RefuseWrite(offset);
        }

        if (buffer.IsEmpty || cancellationToken.IsCancellationRequested)
        {
            return Done(cancellationToken);
        }

        try
        {
            _content.Write(offset, buffer.Span, Name);
            return ValueTask.CompletedTask;
        }
        catch (BlockLayerException error)
        {
            return ValueTask.FromException(error);
        }
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
    {
        RequireUsable(offset, length);
        if (IsReadOnly)
        {
            return RefuseWrite(offset);
        }

        if (length == 0 || cancellationToken.IsCancellationRequested)
        {
            return Done(cancellationToken);
        }

        try
        {
            _content.WriteZeroes(offset, length, mode, Name);
            return ValueTask.CompletedTask;
        }
        catch (BlockLayerException error)
        {
            return ValueTask.FromException(error);
        }
    }

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        RequireUsable(offset, length);
        if (IsReadOnly)
        {
            return RefuseWrite(offset);
        }

        if (!cancellationToken.IsCancellationRequested)
        {
            _content.Discard(offset, length);
        }

        return Done(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        RequireUsable(offset: 0, length: 0);
        return Done(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
    {
        RequireUsable(offset: 0, length);
        if (IsReadOnly)
        {
            return RefuseWrite(offset: null);
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return Done(cancellationToken);
        }

        try
        {
            _content.SetLength(length, Name);
            return ValueTask.CompletedTask;
        }
        catch (BlockLayerException error)
        {
            return ValueTask.FromException(error);
        }
    }

    /// <inheritdoc/>
    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
    {
        RequireUsable(offset, length);
        ArgumentOutOfRangeException.ThrowIfZero(length);
        return cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<StorageExtent>(cancellationToken)
            : new ValueTask<StorageExtent>(_content.GetExtent(offset, length));
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
        if (Interlocked.Exchange(ref _closed, 1) == 0)
        {
            _lock?.Dispose();
            _content.DropUse();
        }

        return ValueTask.CompletedTask;
    }

    private static ValueTask Done(CancellationToken cancellationToken)
        => cancellationToken.IsCancellationRequested ? ValueTask.FromCanceled(cancellationToken) : ValueTask.CompletedTask;

    private ValueTask RefuseWrite(long? offset)
        => ValueTask.FromException(
            new BlockLayerException(BlockErrorKind.ReadOnly, "The file is open for reading only.") { Path = Name, Offset = offset });

    private void RequireUsable(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _closed) != 0, this);
    }
}
