using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>What a snapshot did to one disk.</summary>
public sealed record SnapshotDiskRecord
{
    /// <summary>The disk.</summary>
    public required string Target { get; init; }

    /// <summary>The file that holds the disk as it was: the active one until then.</summary>
    public required DiskSource Frozen { get; init; }

    /// <summary>Its format.</summary>
    public required string FrozenFormat { get; init; }

    /// <summary>The file that the snapshot put on top of it.</summary>
    public required DiskSource Overlay { get; init; }

    /// <summary>Its format.</summary>
    public required string OverlayFormat { get; init; }

    /// <summary>Which way the data goes when the snapshot is deleted.</summary>
    public MergeDirection OnDelete { get; init; }

    /// <summary>
    /// True from before a deletion touches a file until after the last: what lies in the two files meanwhile is not the disk as it was. libvirt's
    /// <c>snapshotDeleteInProgress</c>.
    /// </summary>
    public bool IsDeleteInProgress { get; init; }

    /// <summary>
    /// True after a backward merge was taken back: part of what is newer lies in the frozen file, so that the file by itself is not the disk as it was. The disk reads right, and
    /// the snapshot can still be deleted.
    /// </summary>
    public bool IsFrozenChanged { get; init; }

    internal static SnapshotDiskRecord Read(XElement disk)
    {
        XElement frozen = disk.RequiredChild("frozen");
        return new SnapshotDiskRecord
        {
            Target = disk.RequiredText("name"),
            Frozen = DiskSource.Read(frozen) ?? throw XmlText.Invalid(frozen, "<source> is missing."),
            FrozenFormat = frozen.RequiredChild("driver").RequiredText("type"),
            Overlay = DiskSource.Read(disk) ?? throw XmlText.Invalid(disk, "<source> is missing."),
            OverlayFormat = disk.RequiredChild("driver").RequiredText("type"),
            OnDelete = SnapshotDiskDefinition.ReadMerge(disk.Child("on_delete")),
            IsDeleteInProgress = disk.Child("snapshotDeleteInProgress") is not null,
            IsFrozenChanged = frozen.Choice("changed", ("yes", true), ("no", false)) ?? false,
        };
    }

    internal XElement ToXml() => new(
        "disk",
        new XAttribute("name", Target),
        new XAttribute("snapshot", "external"),
        new XAttribute("type", Overlay.TypeName),
        new XElement("driver", new XAttribute("type", OverlayFormat)),
        Overlay.ToXml(),
        new XElement("on_delete", new XAttribute("merge", OnDelete == MergeDirection.Forward ? "forward" : "backward")),
        new XElement(
            "frozen",
            new XAttribute("type", Frozen.TypeName),
            IsFrozenChanged ? new XAttribute("changed", "yes") : null,
            new XElement("driver", new XAttribute("type", FrozenFormat)),
            Frozen.ToXml()),
        IsDeleteInProgress ? new XElement("snapshotDeleteInProgress") : null);
}
