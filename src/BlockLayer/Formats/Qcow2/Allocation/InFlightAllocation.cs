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
internal sealed record InFlightAllocation(GuestCluster First, int Count, HostRun Host, L2Slice Slice)
{
    /// <summary>The guest cluster behind the last one.</summary>
    internal GuestCluster End => First.Plus(Count);

    /// <summary>Completes when the record is gone, well or badly.</summary>
    internal Completion Done { get; } = new();
}
