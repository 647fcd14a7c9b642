using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>
/// The image that a disk goes on with since a snapshot, or the deletion of one, changed it. No file of the chain says that of itself: a definition that was written before still
/// names another image, and a disk that was opened by it would lose what its guest wrote since.
/// </summary>
public sealed record ActiveImage
{
    /// <summary>The disk.</summary>
    public required string Target { get; init; }

    /// <summary>The image.</summary>
    public required DiskSource Source { get; init; }

    /// <summary>Its format.</summary>
    public required string Format { get; init; }

    /// <summary>Images that were active before, in order: a definition that names one of them means this one.</summary>
    public IReadOnlyList<string> Replaced { get; init; } = [];

    /// <summary>The images as they are once the overlays of a snapshot are in place.</summary>
    internal static IReadOnlyList<ActiveImage> After(IReadOnlyList<ActiveImage> images, SnapshotRecord snapshot)
    {
        foreach (SnapshotDiskRecord disk in snapshot.Disks)
        {
            images = With(images, disk.Target, disk.Frozen.Path, disk.Overlay, disk.OverlayFormat);
        }

        return images;
    }

    /// <summary>The images as they are at a stage of a deletion.</summary>
    internal static IReadOnlyList<ActiveImage> After(IReadOnlyList<ActiveImage> images, SnapshotDeletion deletion, SnapshotRecord snapshot)
    {
        foreach (DiskDeletion disk in deletion.Disks.Where(static disk => disk.Stage == DeletionStage.Switched && disk.ActivePath == disk.GoingPath))
        {
            SnapshotDiskRecord record = snapshot.Disks.First(known => known.Target == disk.Target);
            (DiskSource stays, string format) = disk.Merge == MergeDirection.Backward ? (record.Frozen, record.FrozenFormat) : (record.Overlay, record.OverlayFormat);
            images = With(images, disk.Target, disk.GoingPath, stays, format);
        }

        return images;
    }

    internal static ActiveImage Read(XElement active) => new()
    {
        Target = active.RequiredText("name"),
        Source = DiskSource.Read(active) ?? throw XmlText.Invalid(active, "<source> is missing."),
        Format = active.RequiredChild("driver").RequiredText("type"),
        Replaced = [.. active.Elements("replaced").Select(each => each.RequiredText("file"))],
    };

    internal XElement ToXml() => new(
        "active",
        new XAttribute("name", Target),
        new XAttribute("type", Source.TypeName),
        new XElement("driver", new XAttribute("type", Format)),
        Source.ToXml(),
        Replaced.Select(path => new XElement("replaced", new XAttribute("file", path))));

    private static IReadOnlyList<ActiveImage> With(IReadOnlyList<ActiveImage> images, string target, string replaced, DiskSource source, string format)
    {
        IEnumerable<string> before = images.FirstOrDefault(image => image.Target == target)?.Replaced ?? [];
        var now = new ActiveImage
        {
            Target = target,
            Source = source,
            Format = format,
            Replaced = [.. before.Append(replaced).Where(path => path != source.Path).Distinct()],
        };
        return [.. images.Where(image => image.Target != target), now];
    }
}
