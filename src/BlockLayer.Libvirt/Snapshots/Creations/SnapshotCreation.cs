using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>
/// A snapshot whose files are being made: written down before the first of them exists, and replaced by the snapshot itself once the disks may go on with them. So whoever finds it after a
/// crash knows that no disk has, and which files are of no use.
/// </summary>
/// <param name="Snapshot">What the snapshot was to be called.</param>
/// <param name="Files">The files that are made for it, none of which existed when this was written down.</param>
internal sealed record SnapshotCreation(string Snapshot, IReadOnlyList<EmptyOverlay> Files)
{
    internal static SnapshotCreation Read(XElement creation)
        => new(creation.RequiredText("snapshot"), [.. creation.Elements("overlay").Select(EmptyOverlay.Read)]);

    internal XElement ToXml() => new("creation", new XAttribute("snapshot", Snapshot), Files.Select(file => file.ToXml()));
}
