using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// The handle by which a guest holds a graph: a filter that changes nothing and stays on top for as long as the guest runs. Jobs put their filters
/// between it and the image, under drain, so that the guest's requests pass through them without the guest noticing.
/// </summary>
internal sealed class RootNode : FilterNode
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;

    /// <summary>Puts a root on <paramref name="child"/> and takes over the caller's ownership of it.</summary>
    internal RootNode(BlockNode child)
        : base(child.NodeName, child, child.IsReadOnly ? Reads : Reads | ImagePermissions.Write | ImagePermissions.Resize, Reads | ImagePermissions.WriteUnchanged)
    {
    }

    /// <inheritdoc/>
    public override string DriverName => "root";
}
