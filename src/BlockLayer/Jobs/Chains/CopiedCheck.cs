using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

/// <summary>
/// How a pull makes sure that an image lacks nothing any more of what its chain provides down to the bottom. There is one right way, <see cref="Walk"/>; it is an object
/// so that a test can put a wrong one in its place and see that the simulations notice.
/// </summary>
internal abstract class CopiedCheck
{
    /// <summary>Asks the chain about every byte.</summary>
    internal static CopiedCheck Walk { get; } = new WholeWalk();

    /// <summary>
    /// Where the first lacking byte is; null for nowhere. What is copied stays copied: a discard leaves zeroes, or the data. So only a place may be out of date, where guests
    /// are inside.
    /// </summary>
    /// <param name="origin">The door, or an edge where the caller holds guests back.</param>
    /// <param name="image">What is filled.</param>
    /// <param name="bottom">The last image that is copied.</param>
    /// <param name="range">What is to be complete.</param>
    /// <param name="cancellationToken">Honoured between questions.</param>
    internal abstract ValueTask<long?> FindLackingAsync(Origin origin, BlockNode image, BlockNode bottom, ByteRange range, CancellationToken cancellationToken);

    private sealed class WholeWalk : CopiedCheck
    {
        internal override async ValueTask<long?> FindLackingAsync(Origin origin, BlockNode image, BlockNode bottom, ByteRange range, CancellationToken cancellationToken)
        {
            for (long at = range.Offset; at < range.End;)
            {
                BlockStatus status = await BackingChain.GetStatusAsync(origin, image, bottom, at, range.End - at, cancellationToken).ConfigureAwait(false);
                if (CopyPlan.IsLacking(status))
                {
                    return at;
                }

                at += status.Length;
            }

            return null;
        }
    }
}
