using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>
/// A deletion that has begun: written down before the first file is touched and removed after the last, so that whoever finds it after a crash knows what was going to be done and
/// how far it was.
/// </summary>
public sealed record SnapshotDeletion
{
    /// <summary>The snapshot that is being deleted.</summary>
    public required string Snapshot { get; init; }

    /// <summary>What is done to each of its disks.</summary>
    public required IReadOnlyList<DiskDeletion> Disks { get; init; }

    /// <summary>True from the moment that one disk may have switched: from then on it can only be finished, not taken back.</summary>
    public bool MustFinish => Disks.Any(disk => disk.Stage != DeletionStage.Copying);

    /// <summary>With one disk at another stage.</summary>
    public SnapshotDeletion At(string target, DeletionStage stage)
        => this with { Disks = [.. Disks.Select(disk => disk.Target == target ? disk with { Stage = stage } : disk)] };

    /// <summary>With all disks at another stage.</summary>
    public SnapshotDeletion At(DeletionStage stage) => this with { Disks = [.. Disks.Select(disk => disk with { Stage = stage })] };

    internal static SnapshotDeletion Read(XElement deletion) => new()
    {
        Snapshot = deletion.RequiredText("snapshot"),
        Disks = [.. deletion.Elements("disk").Select(DiskDeletion.Read)],
    };

    internal XElement ToXml() => new("deletion", new XAttribute("snapshot", Snapshot), Disks.Select(disk => disk.ToXml()));
}
