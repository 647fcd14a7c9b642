using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

/// <summary>Finds out which parts of a range lack their copy: content that the part of the chain above the base provides and the top has not allocated.</summary>
/// <remarks>
/// The destination can only store whole allocation units of its own, so a unit of which the chain above the base provides one byte is copied whole; one
/// that the base provides entirely is left to it. Past the end of a shorter image in the middle that image provides zeroes.
/// </remarks>
internal static class CopyPlan
{
    /// <summary>Asks the chain. The answer is as stale as any status: it plans, the destination checks again.</summary>
    /// <param name="top">The destination.</param>
    /// <param name="bottom">The last image whose content is copied; null: all of them.</param>
    /// <param name="range">What to look at; the result may reach over its ends by a destination unit.</param>
    /// <param name="cancellationToken">Honoured between questions.</param>
    internal static async ValueTask<List<CopyExtent>> MakeAsync(BlockNode top, BlockNode? bottom, ByteRange range, CancellationToken cancellationToken)
    {
        int unit = Math.Max(1, top.Limits.SubclusterSize);
        var extents = new List<CopyExtent>();
        for (long at = range.Offset; at < range.End;)
        {
            BlockStatus status = await BackingChain.GetStatusAsync(Origin.Edge, top, bottom, at, range.End - at, cancellationToken).ConfigureAwait(false);
            if (IsLacking(status))
            {
                Add(extents, new ByteRange(at, status.Length), status.IsZero, unit, top.Length);
            }

            at += status.Length;
        }

        return extents;
    }

    /// <summary>True when a run of the chain is decided by an image below the top and above the base.</summary>
    internal static bool IsLacking(BlockStatus status) => status is { IsAllocated: true, Depth: > 0 };

    // Zeroes stay zeroes where they fill whole destination units; at ragged ends the unit is a mixture and is fetched.
    private static void Add(List<CopyExtent> extents, ByteRange run, bool isZero, int unit, long end)
    {
        ByteRange whole = run.RoundOut(unit).ClampTo(end);
        if (!isZero || unit == 1)
        {
            Append(extents, new CopyExtent(whole, isZero));
            return;
        }

        long first = Alignment.RoundUp(run.Offset, unit);
        long last = run.End == end ? end : Alignment.RoundDown(run.End, unit);
        var inner = new ByteRange(first, Math.Max(0, last - first));
        if (inner.IsEmpty)
        {
            Append(extents, new CopyExtent(whole, IsZero: false));
            return;
        }

        if (whole.Offset < inner.Offset)
        {
            Append(extents, new CopyExtent(new ByteRange(whole.Offset, inner.Offset - whole.Offset), IsZero: false));
        }

        Append(extents, new CopyExtent(inner, IsZero: true));
        if (inner.End < whole.End)
        {
            Append(extents, new CopyExtent(new ByteRange(inner.End, whole.End - inner.End), IsZero: false));
        }
    }

    // Neighbours may share their last destination unit; it belongs to the first that named it, and both name it as a mixture.
    private static void Append(List<CopyExtent> extents, CopyExtent next)
    {
        if (extents.Count > 0 && extents[^1] is var last)
        {
            long first = Math.Max(next.Range.Offset, last.Range.End);
            next = next with { Range = new ByteRange(first, next.Range.End - first) };
            if (next.Range.Length <= 0)
            {
                return;
            }

            if (last.IsZero == next.IsZero && last.Range.End == first)
            {
                extents[^1] = last with { Range = new ByteRange(last.Range.Offset, next.Range.End - last.Range.Offset) };
                return;
            }
        }

        extents.Add(next);
    }
}
