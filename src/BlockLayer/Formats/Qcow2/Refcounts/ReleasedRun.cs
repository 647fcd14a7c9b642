namespace BlockLayer.Formats.Qcow2;

/// <summary>Contiguous clusters that each lost a reference, in quarantine until they may be counted down.</summary>
/// <param name="First">The first cluster.</param>
/// <param name="Count">How many; at least 1.</param>
/// <param name="Drop">Number of the flush that makes the dropping entries durable.</param>
/// <param name="Epoch">The epoch of the node's gate in which the references were dropped.</param>
/// <param name="Room">What becomes of their room in the file once nobody refers to them.</param>
internal readonly record struct ReleasedRun(HostCluster First, int Count, long Drop, long Epoch, ReleasedRoom Room)
{
    /// <summary>The run with one cluster more at its end, if that cluster was released in the same way.</summary>
    internal ReleasedRun? TryExtend(ReleasedRun next)
        => Drop == next.Drop && Epoch == next.Epoch && Room == next.Room && First.Index + Count == next.First.Index
            ? this with { Count = Count + next.Count }
            : null;

    /// <summary>What is left without the first clusters.</summary>
    internal ReleasedRun Skip(int clusters) => this with { First = First.Plus(clusters), Count = Count - clusters };
}
