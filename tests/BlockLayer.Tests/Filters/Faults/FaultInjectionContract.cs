using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>Without a plan, fault injection is a node like any other.</summary>
public class FaultInjectionContract : NodeContract
{
    private protected override ValueTask<BlockNode> CreateAsync(long length)
        => new(new FaultInjectionNode(new MemoryOverlayNode("image", length, 65536, TestEnvironment.Inline())));
}
