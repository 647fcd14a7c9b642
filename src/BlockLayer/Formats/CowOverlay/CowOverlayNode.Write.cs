using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

// Writes: in place where the bit is set, else together with the rest of the cluster, which comes from the backing file.
internal sealed partial class CowOverlayNode
{
    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => Lookup(offset, buffer.Length, out bool isStored) == buffer.Length && isStored
            ? _image.WriteAsync(offset, buffer, cancellationToken)
            : WriteRunsAsync(offset, buffer, cancellationToken);

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int length = (int)Lookup(offset, buffer.Length, out bool isStored);
            if (!isStored)
            {
                length = (int)await FillAsync(new ByteRange(offset, length), new Filling(buffer[..length]), cancellationToken).ConfigureAwait(false);
            }

            offset += length;
            buffer = buffer[length..];
        }
    }

    private async ValueTask WriteRunsAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int length = (int)Lookup(offset, buffer.Length, out bool isStored);
            if (isStored)
            {
                await _image.WriteAsync(offset, buffer[..length], cancellationToken).ConfigureAwait(false);
            }
            else
            {
                length = (int)await FillAsync(new ByteRange(offset, length), new Filling(buffer[..length]), cancellationToken).ConfigureAwait(false);
            }

            if (length > 0)
            {
                cancellationToken = CancellationToken.None; // bytes were submitted: the request runs to its end
            }

            offset += length;
            buffer = buffer[length..];
        }
    }

    /// <summary>Fills the clusters that <paramref name="run"/> begins with: its bytes from <paramref name="filling"/>, those around it from below.</summary>
    /// <param name="run">Bytes whose clusters are not in the image file.</param>
    /// <param name="filling">For all of the run.</param>
    /// <param name="cancellationToken">Honoured until something is written.</param>
    /// <returns>How many bytes of the run are done; 0 when the first cluster has to be looked up again.</returns>
    private async ValueTask<long> FillAsync(ByteRange run, Filling filling, CancellationToken cancellationToken)
    {
        long first = run.Offset / _clusterSize;
        long limit = Alignment.DivideRoundUp(run.End, _clusterSize) - first;
        Allocation? allocation = await _allocations!.TryBeginAsync(first, limit, cancellationToken).ConfigureAwait(false);
        if (allocation is null)
        {
            return 0;
        }

        bool isFilled = false;
        try
        {
            ByteRange room = new ByteRange(allocation.First * _clusterSize, allocation.Count * _clusterSize).ClampTo(Length);
            ByteRange part = run.ClampTo(room.End);
            await CopyUpAsync(room.Offset, part.Offset).ConfigureAwait(false);
            await filling.StoreAsync(_image, part).ConfigureAwait(false);
            await CopyUpAsync(part.End, room.End).ConfigureAwait(false);
            isFilled = true;
            return part.Length;
        }
        finally
        {
            _allocations.End(allocation, isFilled);
        }
    }

    // What lies around a partial write, within one cluster.
    private async ValueTask CopyUpAsync(long offset, long end)
    {
        while (offset < end)
        {
            int length = (int)Math.Min(end - offset, CowOverlayLimits.CopyPieceLength);
            using PooledBuffer bytes = Environment.Buffers.Rent(length);
            await ReadRunAsync(isStored: false, offset, bytes.Memory, ReadFlags.None, CancellationToken.None).ConfigureAwait(false);
            await _image.WriteAsync(offset, bytes.Memory, CancellationToken.None).ConfigureAwait(false);
            offset += length;
        }
    }

    /// <summary>What a request puts into the image file: bytes, or zeroes.</summary>
    private readonly struct Filling
    {
        private readonly ReadOnlyMemory<byte> _data;
        private readonly ZeroFlags? _zeroes;

        internal Filling(ReadOnlyMemory<byte> data) => _data = data;

        internal Filling(ZeroFlags zeroes) => _zeroes = zeroes;

        /// <summary>Stores the first bytes, as many as <paramref name="part"/> is long.</summary>
        internal ValueTask StoreAsync(BlockEdge image, ByteRange part)
            => _zeroes is { } flags
                ? image.WriteZeroesAsync(part.Offset, part.Length, flags, CancellationToken.None)
                : image.WriteAsync(part.Offset, _data[..(int)part.Length], CancellationToken.None);
    }
}
