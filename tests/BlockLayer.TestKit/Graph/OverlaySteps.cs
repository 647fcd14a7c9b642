using BlockLayer.Primitives;

namespace BlockLayer.TestKit.Graph;

/// <summary>What happens at the steps of a <see cref="MemoryOverlayNode"/>.</summary>
internal abstract class OverlaySteps
{
    /// <summary>Nothing; every step completes at once.</summary>
    internal static OverlaySteps None { get; } = new Nothing();

    /// <summary>Called at every step; what it throws, the request throws.</summary>
    /// <param name="node">The node inside which this happens.</param>
    /// <param name="step">Where in the request.</param>
    /// <param name="range">The bytes concerned, in the node's address space.</param>
    internal abstract ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, ByteRange range);

    private sealed class Nothing : OverlaySteps
    {
        internal override ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, ByteRange range) => ValueTask.CompletedTask;
    }
}
