using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>A node that is held to a rate far above what the suite uses is a node like any other.</summary>
public class ThrottleContract : NodeContract
{
    private protected override ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        var group = new ThrottleGroup(environment.Time, ThrottleLimits.Parse("bps-total=1T,iops-read=1G"));
        return new ValueTask<BlockNode>(new ThrottleNode(new MemoryOverlayNode("image", length, 65536, environment), group));
    }
}
