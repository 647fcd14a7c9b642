using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Images;

/// <summary>How much an operation copies, by what the images say of themselves: no data is read.</summary>
/// <param name="DataBytes">Bytes of the virtual disk that are copied as data.</param>
/// <param name="ZeroBytes">Bytes of the virtual disk that are copied as zeroes.</param>
internal readonly record struct CopyVolume(long DataBytes, long ZeroBytes)
{
    private const long Window = 64 << 20; // bytes of the disk that are planned at once; whole units of any image

    /// <summary>What an image lacks of the images below it, in the units in which it can store it.</summary>
    /// <param name="top">The image that is filled.</param>
    /// <param name="bottom">The last image that is copied.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    internal static async ValueTask<CopyVolume> OfPullAsync(BlockNode top, BlockNode bottom, CancellationToken cancellationToken)
    {
        var volume = new CopyVolume();
        for (long at = 0; at < top.Length; at += Window)
        {
            List<CopyExtent> extents = await CopyPlan.MakeAsync(top, bottom, new ByteRange(at, Window).ClampTo(top.Length), cancellationToken).ConfigureAwait(false);
            volume = extents.Aggregate(volume, static (sum, extent) => sum.Plus(extent.Range.Length, extent.IsZero));
        }

        return volume;
    }

    /// <summary>What a base lacks of the images above it, in the units of a bitmap that is marked here; all of a unit is copied.</summary>
    /// <param name="top">The newest image.</param>
    /// <param name="bottom">The last one above the base.</param>
    /// <param name="lacking">Without marks.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    internal static async ValueTask<CopyVolume> OfLiveCopyAsync(BlockNode top, BlockNode bottom, DirtyBitmap lacking, CancellationToken cancellationToken)
    {
        for (long at = 0; at < lacking.Length;)
        {
            BlockStatus status = await BackingChain.GetStatusAsync(top, bottom, at, lacking.Length - at, cancellationToken).ConfigureAwait(false);
            if (status.IsAllocated)
            {
                lacking.Set(at, status.Length);
            }

            at += status.Length;
        }

        var volume = new CopyVolume();
        foreach (ByteRange run in lacking.DirtyRanges())
        {
            for (long at = run.Offset; at < run.End;)
            {
                BlockStatus status = await top.GetStatusAsync(at, run.End - at, StatusDepth.Chain, cancellationToken).ConfigureAwait(false);
                volume = volume.Plus(status.Length, status.IsZero);
                at += status.Length;
            }
        }

        return volume;
    }

    /// <summary>The sum of this and a run.</summary>
    internal CopyVolume Plus(long length, bool isZero) => isZero ? this with { ZeroBytes = ZeroBytes + length } : this with { DataBytes = DataBytes + length };
}
