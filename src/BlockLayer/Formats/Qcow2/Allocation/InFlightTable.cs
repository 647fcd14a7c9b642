namespace BlockLayer.Formats.Qcow2;

/// <summary>The allocations between lookup and publish. Guarded by the allocation lock. There are as many as writes in flight, so a list will do.</summary>
internal sealed class InFlightTable
{
    private readonly List<InFlightAllocation> _allocations = [];

    /// <summary>Notes an allocation that fills nothing that another one fills.</summary>
    internal void Add(InFlightAllocation allocation) => _allocations.Add(allocation);

    /// <summary>Forgets an allocation that was published or given up.</summary>
    internal void Remove(InFlightAllocation allocation) => _allocations.Remove(allocation);

    /// <summary>
    /// The allocation that a write to subclusters has to wait for, although their host cluster is there already: one that fills some of them, or that gives the
    /// guest cluster another host cluster. Null if there is none: writes to different subclusters of one host cluster do not disturb each other.
    /// </summary>
    /// <param name="cluster">A guest cluster with a host cluster of its own.</param>
    /// <param name="from">Start of the subclusters.</param>
    /// <param name="to">End of the subclusters.</param>
    internal InFlightAllocation? FindFilling(GuestCluster cluster, GuestOffset from, GuestOffset to)
    {
        foreach (InFlightAllocation allocation in _allocations)
        {
            bool overlaps = allocation.FillStart.Value < to.Value && from.Value < allocation.FillEnd.Value;
            if (Touches(allocation, cluster) && (overlaps || allocation.Host.Origin != HostOrigin.Own))
            {
                return allocation;
            }
        }

        return null;
    }

    /// <summary>An allocation that a guest cluster is part of; null if there is none.</summary>
    internal InFlightAllocation? Find(GuestCluster cluster)
    {
        foreach (InFlightAllocation allocation in _allocations)
        {
            if (Touches(allocation, cluster))
            {
                return allocation;
            }
        }

        return null;
    }

    private static bool Touches(InFlightAllocation allocation, GuestCluster cluster) => cluster.Index >= allocation.First.Index && cluster.Index < allocation.End.Index;
}
