using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.TestKit;

/// <summary>The test format has to be a real node: what is proved on it would prove nothing otherwise.</summary>
public class MemoryOverlayContract : NodeContract
{
    private protected override ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        return new(new MemoryOverlayNode("image", length, 4096, environment, new MemoryOverlayNode("base", length / 2, 65536, environment)));
    }
}
