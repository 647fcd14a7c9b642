using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>A write log changes nothing that its user can tell.</summary>
public class WriteLogContract : NodeContract
{
    private protected override ValueTask<BlockNode> CreateAsync(long length)
        => new(new WriteLogNode(new MemoryOverlayNode("image", length, 4096, TestEnvironment.Inline())));
}
