using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// The bytes of one open file. The lowest floor: nothing above it knows the operating system, nothing in it knows formats, graphs or jobs.
/// </summary>
/// <remarks>
/// Contract of every implementation:
/// <list type="number">
/// <item>Any number of calls may be in flight. A completed write is seen by every later read. A failed write leaves old or new bytes in its range, 512 bytes
/// at a time, and nothing else changed.</item>
/// <item>Transfers are whole: a read that meets the end of the file fails with <see cref="BlockErrorKind.Io"/>; a write past the end grows the file, and a
/// gap it leaves reads as zeroes.</item>
/// <item>Nothing is durable before a <see cref="FlushAsync"/> that was called after it completed.</item>
/// <item>A call that can be served without blocking completes before it returns and allocates nothing.</item>
/// <item>A buffer is not touched after the call completes. The token is honoured before the first byte is submitted and not after.</item>
/// <item>Failures are <see cref="BlockLayerException"/> with <see cref="BlockLayerException.Path"/> and <see cref="BlockLayerException.Offset"/> set; errno
/// becomes a kind here and nowhere else.</item>
/// </list>
/// </remarks>
public abstract class BlockStorage : IAsyncDisposable
{
    /// <summary>What the file is called in messages: its path as it was opened, or a label.</summary>
    public abstract string Name { get; }

    /// <summary>Current length in bytes.</summary>
    public abstract long Length { get; }

    /// <summary>True when writes are refused with <see cref="BlockErrorKind.ReadOnly"/>.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>Which file this is, whatever it is called; two opens of one file are equal.</summary>
    public abstract StorageIdentity Identity { get; }

    /// <summary>Reads exactly <paramref name="buffer"/>.</summary>
    public abstract ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Writes all of <paramref name="buffer"/>, growing the file if it ends earlier.</summary>
    public abstract ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Reads one contiguous range into several buffers, in order.</summary>
    public virtual async ValueTask ReadAsync(long offset, IReadOnlyList<Memory<byte>> buffers, CancellationToken cancellationToken)
    {
        foreach (Memory<byte> buffer in buffers)
        {
            await ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            offset += buffer.Length;
        }
    }

    /// <summary>Writes several buffers to one contiguous range, in order.</summary>
    public virtual async ValueTask WriteAsync(long offset, IReadOnlyList<ReadOnlyMemory<byte>> buffers, CancellationToken cancellationToken)
    {
        foreach (ReadOnlyMemory<byte> buffer in buffers)
        {
            await WriteAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            offset += buffer.Length;
        }
    }

    /// <summary>
    /// Makes a range read as zeroes, growing the file if it ends earlier. With <see cref="ZeroMode.MayUnmap"/> the room may be given back
    /// to the file system, with <see cref="ZeroMode.KeepAllocated"/> it stays reserved.
    /// </summary>
    public abstract ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken);

    /// <summary>Gives the room of a range back; afterwards it reads as zeroes or as before. The part past the end of the file is ignored.</summary>
    public abstract ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken);

    /// <summary>Makes everything durable that completed before the call.</summary>
    public abstract ValueTask FlushAsync(CancellationToken cancellationToken);

    /// <summary>Sets the length. A part that is added reads as zeroes.</summary>
    public abstract ValueTask SetLengthAsync(long length, CancellationToken cancellationToken);

    /// <summary>
    /// What the file system knows of the run that starts at <paramref name="offset"/>: data, or a hole that reads as zeroes. The run is at least one
    /// byte and at most <paramref name="length"/> (positive) long, and need not be the whole of it; a file system that cannot tell answers data. Past the
    /// end of the file there is a hole.
    /// </summary>
    public abstract ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken);

    /// <summary>
    /// Copies a range of this file to <paramref name="target"/> inside the operating system, if it can.
    /// </summary>
    /// <returns>How many bytes were copied, from the start of the range; the caller has to copy the rest, which may be all, by reading and writing.</returns>
    /// <exception cref="BlockLayerException">ReadOnly: the target is. NoSpace, Io: part of the range may have been copied.</exception>
    public virtual ValueTask<long> TryCopyToAsync(long offset, BlockStorage target, long targetOffset, long length, CancellationToken cancellationToken)
        => new(0L);

    /// <summary>
    /// Holds another image lock on the file instead of the one it was opened with. At no moment is less held than both have in common, so nobody gets in between.
    /// </summary>
    /// <exception cref="BlockLayerException">
    /// Conflict: somebody else excludes it, or no lock is held; Unsupported: this kind of storage has none. The lock is what it was.
    /// </exception>
    internal virtual ValueTask ChangeLockAsync(ImageLock wanted)
        => ValueTask.FromException(new BlockLayerException(BlockErrorKind.Unsupported, "The image lock of this kind of storage cannot change.") { Path = Name });

    /// <summary>Bytes of the file system that the file occupies; null where it cannot tell.</summary>
    public virtual long? AllocatedLength => null;

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();
}
