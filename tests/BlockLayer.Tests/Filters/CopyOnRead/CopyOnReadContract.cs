using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>A copy-on-read filter over an empty image whose backing image reads as zeroes keeps the contract of every node.</summary>
public class CopyOnReadContract : NodeContract
{
    private protected override ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        var backing = new MemoryOverlayNode("base", length, 4096, environment);
        backing.Fill(0, new byte[length]);
        var image = new MemoryOverlayNode("image", length, 16384, environment, backing);
        return new ValueTask<BlockNode>(CopyOnReadNode.Create(image));
    }
}
