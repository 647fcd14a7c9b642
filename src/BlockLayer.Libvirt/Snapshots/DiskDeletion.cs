using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>What the deletion of a snapshot does to one disk, written down before it does it.</summary>
public sealed record DiskDeletion
{
    /// <summary>The disk.</summary>
    public required string Target { get; init; }

    /// <summary>Which way its data goes.</summary>
    public required MergeDirection Merge { get; init; }

    /// <summary>The file that stays.</summary>
    public required string StayingPath { get; init; }

    /// <summary>The file that is not needed in the end.</summary>
    public required string GoingPath { get; init; }

    /// <summary>
    /// The disk's active image when it began: what has to be opened to do it again, until it has <see cref="DeletionStage.Switched"/>.
    /// </summary>
    public required string ActivePath { get; init; }

    /// <summary>Its format.</summary>
    public required string ActiveFormat { get; init; }

    /// <summary>How far it is.</summary>
    public DeletionStage Stage { get; init; }

    /// <summary>Overlays of the file that goes, besides the disk's own chain: they have to be re-linked to the one that stays.</summary>
    public IReadOnlyList<string> Relink { get; init; } = [];

    /// <summary>Files that are removed in the end.</summary>
    public IReadOnlyList<string> Remove { get; init; } = [];

    internal static DiskDeletion Read(XElement disk) => new()
    {
        Target = disk.RequiredText("name"),
        Merge = SnapshotDiskDefinition.ReadMerge(disk),
        StayingPath = disk.RequiredText("stays"),
        GoingPath = disk.RequiredText("goes"),
        ActivePath = disk.RequiredChild("active").RequiredText("file"),
        ActiveFormat = disk.RequiredChild("active").RequiredText("type"),
        Stage = disk.Choice("stage", ("copying", DeletionStage.Copying), ("switching", DeletionStage.Switching), ("switched", DeletionStage.Switched))
            ?? throw XmlText.Invalid(disk, "the attribute stage is missing."),
        Relink = [.. disk.Elements("relink").Select(each => each.RequiredText("file"))],
        Remove = [.. disk.Elements("remove").Select(each => each.RequiredText("file"))],
    };

    internal XElement ToXml() => new(
        "disk",
        new XAttribute("name", Target),
        new XAttribute("merge", Merge == MergeDirection.Forward ? "forward" : "backward"),
        new XAttribute("stage", Stage.ToString().ToLowerInvariant()),
        new XAttribute("stays", StayingPath),
        new XAttribute("goes", GoingPath),
        new XElement("active", new XAttribute("type", ActiveFormat), new XAttribute("file", ActivePath)),
        Relink.Select(path => new XElement("relink", new XAttribute("file", path))),
        Remove.Select(path => new XElement("remove", new XAttribute("file", path))));
}
