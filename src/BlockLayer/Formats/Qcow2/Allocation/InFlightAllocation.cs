using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Host clusters that were taken for guest clusters and are being filled: from the lookup that found them missing to the moment the mapping is published or given
/// up. Reads see the old mapping meanwhile; whoever wants to change these guest clusters waits for <see cref="Done"/> and looks again.
/// </summary>
/// <param name="First">The first guest cluster.</param>
/// <param name="Count">How many guest clusters.</param>
/// <param name="Host">The host clusters: as many, or those that a compressed stream touches.</param>
/// <param name="Slice">The slice that maps them, pinned.</param>
/// <param name="FillStart">From here on the host clusters are filled: the start of the first guest cluster, or of one of its subclusters.</param>
/// <param name="FillEnd">Up to here: the end of the last guest cluster, or of one of its subclusters. The same position where room is taken and no subcluster filled.</param>
internal sealed record InFlightAllocation(GuestCluster First, int Count, HostRun Host, L2Slice Slice, GuestOffset FillStart, GuestOffset FillEnd)
{
    /// <summary>The guest cluster behind the last one.</summary>
    internal GuestCluster End => First.Plus(Count);

    /// <summary>Completes when the record is gone, well or badly.</summary>
    internal Completion Done { get; } = new();
}
