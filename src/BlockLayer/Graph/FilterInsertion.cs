using System.Diagnostics;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>Puts a filter between a node and everything above it, and takes it out again. Whoever holds a node further up does not notice.</summary>
internal static class FilterInsertion
{
    /// <summary>
    /// Makes the parents of <paramref name="node"/> the parents of <paramref name="filter"/>, which stands on the node already. Permissions go with them:
    /// afterwards the filter needs what they needed, and shares what all of them shared.
    /// </summary>
    /// <param name="change">A change that has drained the node.</param>
    /// <param name="node">What is filtered.</param>
    /// <param name="filter">The filter, on the node.</param>
    /// <param name="needs">What the filter needs for itself.</param>
    /// <param name="shares">The most that the filter shares.</param>
    /// <exception cref="Errors.BlockLayerException">Conflict: a link to a parent is frozen; nothing has changed.</exception>
    internal static async ValueTask InsertAsync(GraphChange change, BlockNode node, FilterNode filter, ImagePermissions needs, ImagePermissions shares)
    {
        Debug.Assert(filter.Filtered.Child == node, "the filter stands on what it filters");
        BlockEdge[] above = [.. node.Parents.Where(edge => edge.Parent != filter)];
        lock (node.Environment.TopologyLock)
        {
            foreach (BlockEdge edge in above)
            {
                edge.ThrowIfFrozen();
                needs |= edge.Needs;
                shares &= edge.Shares;
            }
        }

        change.Drain.Adopt(filter);
        foreach (BlockEdge edge in above)
        {
            filter.AddReference();
            await edge.Parent.ReplaceChild(edge, filter).DisposeAsync().ConfigureAwait(false);
        }

        filter.ChangePermissions(filter.Filtered, needs, shares);
    }

    /// <summary>
    /// Gives the parents of <paramref name="filter"/> back to what it stands on. The caller holds a change that has drained the filter, still owns the filter,
    /// and disposes it.
    /// </summary>
    /// <exception cref="Errors.BlockLayerException">Conflict: a link to a parent is frozen; nothing has changed.</exception>
    internal static async ValueTask RemoveAsync(FilterNode filter)
    {
        BlockNode node = filter.Filtered.Child;
        lock (node.Environment.TopologyLock)
        {
            foreach (BlockEdge edge in filter.Parents)
            {
                edge.ThrowIfFrozen();
            }
        }

        filter.ChangePermissions(filter.Filtered, ImagePermissions.ConsistentRead, ImagePermissions.All);
        foreach (BlockEdge edge in filter.Parents)
        {
            node.AddReference();
            await edge.Parent.ReplaceChild(edge, node).DisposeAsync().ConfigureAwait(false);
        }
    }
}
