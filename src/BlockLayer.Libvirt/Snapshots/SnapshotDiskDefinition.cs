using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>What a description of a snapshot says of one disk.</summary>
public sealed record SnapshotDiskDefinition
{
    /// <summary>The disk: its target or the path of its source.</summary>
    public required string Name { get; init; }

    /// <summary>How it takes part; null leaves it to the domain's description and to what kind of disk it is.</summary>
    public SnapshotLocation? Location { get; init; }

    /// <summary>The new file; null for a name made from the present file's and the snapshot's.</summary>
    public DiskSource? Source { get; init; }

    /// <summary>The new file's format; null for qcow2.</summary>
    public string? Format { get; init; }

    /// <summary>Which way its data goes when the snapshot is deleted.</summary>
    public MergeDirection OnDelete { get; init; }

    internal static SnapshotDiskDefinition Read(XElement disk)
    {
        if (disk.Text("snapshot") is "internal" or "manual")
        {
            throw XmlText.Unsupported(disk, $"snapshot is '{disk.Text("snapshot")}'; snapshots of domains here are external.");
        }

        DiskSource.RefuseEncryption(disk);
        DiskSource? source = DiskSource.Read(disk);
        SnapshotLocation? location = disk.Choice("snapshot", ("no", SnapshotLocation.None), ("external", SnapshotLocation.External));
        if (location is null && source is not null)
        {
            location = SnapshotLocation.External;
        }

        if (location == SnapshotLocation.None && source is not null)
        {
            throw XmlText.Invalid(disk, "a disk that takes no part needs no <source>.");
        }

        return new SnapshotDiskDefinition
        {
            Name = disk.RequiredText("name"),
            Location = location,
            Source = source,
            Format = disk.Child("driver")?.Text("type"),
            OnDelete = ReadMerge(disk.Child("on_delete")),
        };
    }

    internal static MergeDirection ReadMerge(XElement? onDelete)
        => onDelete?.Choice("merge", ("backward", MergeDirection.Backward), ("forward", MergeDirection.Forward)) ?? MergeDirection.Backward;
}
