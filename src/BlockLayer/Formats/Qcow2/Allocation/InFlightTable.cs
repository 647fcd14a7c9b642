namespace BlockLayer.Formats.Qcow2;

/// <summary>The allocations between lookup and publish. Guarded by the allocation lock. There are as many as writes in flight, so a list will do.</summary>
internal sealed class InFlightTable
{
    private readonly List<InFlightAllocation> _allocations = [];

    /// <summary>Notes an allocation that overlaps no other.</summary>
    internal void Add(InFlightAllocation allocation) => _allocations.Add(allocation);

    /// <summary>Forgets an allocation that was published or given up.</summary>
    internal void Remove(InFlightAllocation allocation) => _allocations.Remove(allocation);

    /// <summary>The allocation that a guest cluster is part of; null if there is none.</summary>
    internal InFlightAllocation? Find(GuestCluster cluster)
    {
        foreach (InFlightAllocation allocation in _allocations)
        {
            if (cluster.Index >= allocation.First.Index && cluster.Index < allocation.End.Index)
            {
                return allocation;
            }
        }

        return null;
    }
}
