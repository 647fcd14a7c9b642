using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

// Zeroes and discards. The bitmap cannot say zero: a cluster that is to read as zeroes is in the image file, where it may be a hole.
internal sealed partial class CowOverlayNode
{
    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            ThrowIfZeroingWouldCopy(new ByteRange(offset, length));
        }

        for (long end = offset + length; offset < end;)
        {
            long done = Lookup(offset, end - offset, out bool isStored);
            if (isStored)
            {
                await _image.WriteZeroesAsync(offset, done, flags, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                done = await FillAsync(new ByteRange(offset, done), new Filling(flags), cancellationToken).ConfigureAwait(false);
            }

            if (done > 0)
            {
                cancellationToken = CancellationToken.None; // something was submitted: the request runs to its end
            }

            offset += done;
        }
    }

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            long done = Lookup(offset, end - offset, out bool isStored);
            offset += isStored
                ? done
                : await FillAsync(new ByteRange(offset, done), new Filling(ZeroFlags.MayUnmap), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Gives back the room of clusters in the image file; they stay there and read as zeroes or as before. Others are left: they take no room, and nothing but
    /// storing zeroes would keep the backing file's bytes from showing.
    /// </summary>
    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            long done = Lookup(offset, end - offset, out bool isStored);
            if (isStored)
            {
                await _image.DiscardAsync(offset, done, cancellationToken).ConfigureAwait(false);
            }

            offset += done;
        }
    }

    private void ThrowIfZeroingWouldCopy(ByteRange range)
    {
        ByteRange first = new ByteRange(range.Offset, 1).RoundOut(_clusterSize).ClampTo(Length);
        ByteRange last = new ByteRange(range.End - 1, 1).RoundOut(_clusterSize).ClampTo(Length);
        if ((range.Offset > first.Offset && WouldCopy(first)) || (range.End < last.End && WouldCopy(last)))
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"'{NodeName}' copies whole clusters of {_clusterSize} bytes; part of one cannot be zeroed without storing the rest.",
                range.Offset);
        }
    }

    private bool WouldCopy(ByteRange cluster) => Lookup(cluster.Offset, cluster.Length, out bool isStored) > 0 && !isStored;
}
