using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What a look under the allocation lock came to. One of the three is set, or none: then the mapping has changed, and the caller looks again.</summary>
/// <param name="Allocation">Fill this and publish it.</param>
/// <param name="Busy">Somebody else is changing the first cluster: wait for this and look again.</param>
/// <param name="TableFull">The refcount table has to grow first.</param>
internal readonly record struct WritePlan(InFlightAllocation? Allocation = null, Completion? Busy = null, bool TableFull = false)
{
    /// <summary>The mapping has changed meanwhile.</summary>
    internal static WritePlan LookAgain => default;

    /// <summary>The refcount table has to grow first.</summary>
    internal static WritePlan Grow => new(TableFull: true);
}
