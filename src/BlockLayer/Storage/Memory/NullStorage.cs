using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// A file of zeroes that forgets what is written to it, but not its length: what is left of a measurement when the storage costs nothing. It breaks the
/// first rule of <see cref="BlockStorage"/> (a completed write is seen by later reads) on purpose, and keeps the others.
/// </summary>
public sealed class NullStorage : BlockStorage
{
    private static long s_lastInode; // interlocked

    private long _length; // interlocked

    /// <summary>Makes a file of <paramref name="length"/> zeroes.</summary>
    public NullStorage(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _length = length;
        Identity = new StorageIdentity(0, (ulong)Interlocked.Increment(ref s_lastInode));
    }

    /// <inheritdoc/>
    public override string Name => "null";

    /// <inheritdoc/>
    public override long Length => Interlocked.Read(ref _length);

    /// <inheritdoc/>
    public override bool IsReadOnly => false;

    /// <inheritdoc/>
    public override StorageIdentity Identity { get; }

    /// <summary>None.</summary>
    public override long? AllocatedLength => 0;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        long length = Length;
        if (!buffer.IsEmpty && (offset > length || buffer.Length > length - offset))
        {
            return ValueTask.FromException(new BlockLayerException(
                BlockErrorKind.Io, $"Read of {buffer.Length} bytes at {offset} met the end of the file, which is {length} bytes long.")
            { Path = Name, Offset = offset });
        }

        buffer.Span.Clear();
        return Done(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => Grow(offset, buffer.Length, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => Grow(offset, length, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return Done(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken) => Done(cancellationToken);

    /// <inheritdoc/>
    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (!cancellationToken.IsCancellationRequested)
        {
            Interlocked.Exchange(ref _length, length);
        }

        return Done(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        return cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<StorageExtent>(cancellationToken)
            : new ValueTask<StorageExtent>(new StorageExtent(length, IsHole: true));
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static ValueTask Done(CancellationToken cancellationToken)
        => cancellationToken.IsCancellationRequested ? ValueTask.FromCanceled(cancellationToken) : ValueTask.CompletedTask;

    private ValueTask Grow(long offset, long length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (length == 0 || cancellationToken.IsCancellationRequested)
        {
            return Done(cancellationToken);
        }

        long end = checked(offset + length);
        long seen = Length;
        while (seen < end)
        {
            long before = Interlocked.CompareExchange(ref _length, end, seen);
            if (before == seen)
            {
                break;
            }

            seen = before;
        }

        return ValueTask.CompletedTask;
    }
}
