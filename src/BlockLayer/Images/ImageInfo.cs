using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>What one image of a chain is.</summary>
public sealed record ImageInfo
{
    /// <summary>The file as it was opened.</summary>
    public required string Path { get; init; }

    /// <summary>The format's name, as qemu-img spells it.</summary>
    public required string Format { get; init; }

    /// <summary>Size of the virtual disk in bytes.</summary>
    public required long VirtualSize { get; init; }

    /// <summary>Bytes that the file occupies in its file system; null where that is not known.</summary>
    public long? DiskSize { get; init; }

    /// <summary>The unit in which the format allocates, in bytes; 0 where it does not allocate.</summary>
    public int ClusterSize { get; init; }

    /// <summary>The backing file that the image records; null for none.</summary>
    public BackingReference? Backing { get; init; }

    /// <summary>
    /// The path that <see cref="Backing"/> means, seen from the image's own directory; null for none, and for a name that is no file's (<c>nbd:</c>, <c>json:</c>), which is never opened.
    /// </summary>
    public string? BackingPath { get; init; }

    /// <summary>What the format tells about itself; empty for formats without a header.</summary>
    public ImageDetails Details { get; init; } = new();

    /// <summary>The internal snapshots, in the order of the image's table; filled by <see cref="ReadAsync"/>.</summary>
    public IReadOnlyList<SnapshotInfo> Snapshots { get; init; } = [];

    /// <summary>
    /// Describes one open image, and reads its snapshots; filters on top are looked through. Neither writes nor opens anything. A table of snapshots that is no
    /// table leaves <see cref="Snapshots"/> empty and is told by <see cref="ImageDetails.Damage"/>.
    /// </summary>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static async ValueTask<ImageInfo> ReadAsync(BlockNode node, CancellationToken cancellationToken = default)
    {
        ImageInfo info = Of(node);
        if (node.SkipFilters() is not ISnapshotImage image)
        {
            return info;
        }

        try
        {
            return info with { Snapshots = await image.ListSnapshotsAsync(cancellationToken).ConfigureAwait(false) };
        }
        catch (BlockLayerException damage) when (damage.Kind is BlockErrorKind.InvalidFormat or BlockErrorKind.Corrupt)
        {
            return info with { Details = info.Details with { Damage = [.. info.Details.Damage, $"The snapshots cannot be read: {damage.Message}"] } };
        }
    }

    /// <summary>Describes one open image from memory; filters on top are looked through. Neither writes nor opens anything.</summary>
    public static ImageInfo Of(BlockNode node)
    {
        BlockNode image = node.SkipFilters();
        string path = image.Path ?? image.NodeName;
        BackingReference? backing = image.BackingReference;
        return new ImageInfo
        {
            Path = path,
            Format = image.DriverName,
            VirtualSize = image.Length,
            DiskSize = image.Children.Select(edge => edge.Child).OfType<StorageNode>().FirstOrDefault()?.Storage.AllocatedLength,
            ClusterSize = image.Limits.ClusterSize,
            Backing = backing,
            BackingPath = backing is not null && ReferenceResolver.PlainName(backing.Name, ReferencePolicy.Anywhere) is { } name ? ReferenceResolver.PathOf(path, name) : null,
            Details = (image as IImageDetails)?.GetDetails() ?? new ImageDetails(),
        };
    }
}
