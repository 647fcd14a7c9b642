using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>Clusters that somebody is filling: their bits are clear, and nobody else touches them until they are set or given up.</summary>
/// <param name="First">The first cluster.</param>
/// <param name="Count">How many.</param>
internal sealed record Allocation(long First, long Count)
{
    /// <summary>First cluster after them.</summary>
    internal long End => First + Count;

    /// <summary>Happens when they are set or given up.</summary>
    internal Completion Ended { get; } = new();
}
