using BlockLayer.Graph;

namespace BlockLayer.Formats.CowOverlay;

// Reads and status: the image file where the bit is set, else the backing file.
internal sealed partial class CowOverlayNode
{
    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        long length = Lookup(offset, buffer.Length, out bool isStored);
        return length == buffer.Length ? ReadRunAsync(isStored, offset, buffer, flags, cancellationToken) : ReadRunsAsync(offset, buffer, flags, cancellationToken);
    }

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long run = Lookup(offset, length, out bool isStored);
        if (!isStored)
        {
            return BlockStatus.Unallocated(run);
        }

        BlockStatus status = await _image.GetStatusAsync(offset, run, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
        return status with { Flags = status.Flags | StatusFlags.Allocated, Provider = this };
    }

    /// <summary>How many bytes from <paramref name="offset"/> on, at most <paramref name="length"/>, come from the same file. Memory only, no lock.</summary>
    private long Lookup(long offset, long length, out bool isStored)
    {
        if (_bitmap is not { } bitmap || IsAllAllocated)
        {
            isStored = true;
            return length;
        }

        long first = offset / _clusterSize;
        long count = bitmap.CountRun(first, ((offset + length - 1) / _clusterSize) - first + 1, out isStored);
        return Math.Min(length, ((first + count) * _clusterSize) - offset);
    }

    private async ValueTask ReadRunsAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int length = (int)Lookup(offset, buffer.Length, out bool isStored);
            await ReadRunAsync(isStored, offset, buffer[..length], flags, cancellationToken).ConfigureAwait(false);
            offset += length;
            buffer = buffer[length..];
        }
    }

    private ValueTask ReadRunAsync(bool isStored, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        if (isStored)
        {
            return _image.ReadAsync(offset, buffer, cancellationToken);
        }

        if (BackingEdge is { } backing)
        {
            return backing.ReadPaddedAsync(offset, buffer, cancellationToken, flags);
        }

        buffer.Span.Clear();
        return ValueTask.CompletedTask;
    }
}
