using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Qcow2;

// Becoming writable reads the image as an open to write does: a read-only open has no refcounts, and may have kept tables of an image that must not be written.
// Becoming read-only again leaves on disk what a close does; the tables in memory stay, because they are right.
internal sealed partial class Qcow2Node
{
    internal override async ValueTask SettleToReadAsync()
    {
        await SettleAsync().ConfigureAwait(false);
        await StoreBitmapsAsync().ConfigureAwait(false);
    }

    private protected override async ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
    {
        if (_showsSnapshot)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' shows a snapshot, which can only be read.");
        }

        ChangeFilePermissions(NodeAccess.ReadWrite);
        LoadedImage image = await LoadedImage.ReadAsync(File, NodeAccess.ReadWrite, OpenPurpose.Use, cancellationToken).ConfigureAwait(false);
        Adopt(image);
        TakeUpBitmaps(image);
    }

    private protected override ValueTask EndWritingCoreAsync()
    {
        ChangeFilePermissions(NodeAccess.ReadOnly);
        TrackWrites();
        return ValueTask.CompletedTask;
    }

    private static (ImagePermissions Needs, ImagePermissions Shares) PermissionsFor(NodeAccess access)
    {
        const ImagePermissions Reads = ImagePermissions.ConsistentRead;
        return access == NodeAccess.ReadWrite
            ? (Reads | ImagePermissions.Write | ImagePermissions.Resize, Reads)
            : (Reads, ImagePermissions.All & ~ImagePermissions.Resize);
    }

    private void ChangeFilePermissions(NodeAccess access)
    {
        (ImagePermissions needs, ImagePermissions shares) = PermissionsFor(access);
        foreach (BlockEdge edge in Children.Where(static edge => edge.Role is EdgeRole.Metadata or EdgeRole.Data))
        {
            ChangePermissions(edge, needs, shares);
        }
    }
}
