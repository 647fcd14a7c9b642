using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Makes an overlay that nobody uses stand on another file, which shows the same as the one it stands on; what qemu-img does with <c>rebase -u</c>.</summary>
internal static class OverlayLink
{
    /// <summary>Makes sure that the overlay can be changed: nobody else has it open, and the new name fits.</summary>
    /// <exception cref="Errors.BlockLayerException">It cannot, and why.</exception>
    internal static async ValueTask CheckAsync(DiskOptions disks, string overlay, string going, string staying, string format, CancellationToken cancellationToken)
    {
        BlockNode image = await OpenAsync(disks, overlay, cancellationToken).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            if (ReferenceTo(image, overlay, going, staying, format) is { } reference)
            {
                image.ThrowIfCannotRecordBacking(reference);
            }
        }
    }

    /// <summary>Changes it, durably on return. One that is gone, or stands on something else already, is left alone.</summary>
    /// <exception cref="Errors.BlockLayerException">It cannot be changed; it stands on what it did.</exception>
    internal static async ValueTask MoveAsync(DiskOptions disks, string overlay, string going, string staying, string format, CancellationToken cancellationToken)
    {
        if (disks.Environment.Files.GetInfo(overlay) is null)
        {
            return;
        }

        BlockNode image = await OpenAsync(disks, overlay, cancellationToken).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            if (ReferenceTo(image, overlay, going, staying, format) is { } reference)
            {
                await ImageRebaser.RecordAsync(image, reference, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static ValueTask<BlockNode> OpenAsync(DiskOptions disks, string overlay, CancellationToken cancellationToken)
    {
        var how = new ImageOpenOptions
        {
            Access = NodeAccess.ReadWrite,
            Backing = BackingMode.Ignore,
            Policy = disks.Policy,
            Secrets = disks.Secrets,
        };
        return new ImageOpener(disks.Formats, disks.Environment).OpenAsync(overlay, how, cancellationToken);
    }

    // Relative where it was relative. Null: it stands on something else already.
    private static BackingReference? ReferenceTo(BlockNode image, string overlay, string going, string staying, string format)
    {
        StorageProvider files = image.Environment.Files;
        if (image.BackingReference is not { } old
            || ReferenceResolver.PlainName(old.Name, ReferencePolicy.Anywhere) is not { } plain
            || !DiskMerge.IsSameFile(files, ReferenceResolver.PathOf(overlay, plain), going))
        {
            return null;
        }

        string name = files.GetRealPath(staying);
        if (!Path.IsPathRooted(plain))
        {
            name = Path.GetRelativePath(files.GetRealPath(ReferenceResolver.DirectoryOf(overlay)), name);
            name = ReferenceResolver.ProtocolOf(name) is null ? name : "./" + name; // "a:b" alone would be taken for b by the protocol a
        }

        return new BackingReference(name, format);
    }
}
