using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>A filter that changes nothing, with the permissions a test wants.</summary>
internal sealed class PassThroughNode(BlockNode child, ImagePermissions needs, ImagePermissions shares)
    : FilterNode($"pass-through of {child.NodeName}", child, needs, shares)
{
    public override string DriverName => "pass-through";
}
