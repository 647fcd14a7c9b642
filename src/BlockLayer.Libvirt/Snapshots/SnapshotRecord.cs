using System.Globalization;
using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>What is remembered of a snapshot.</summary>
public sealed record SnapshotRecord
{
    /// <summary>What it is called; unique in its domain.</summary>
    public required string Name { get; init; }

    /// <summary>The snapshot that was current when it was made; null for none.</summary>
    public string? Parent { get; init; }

    /// <summary>Whatever its author wanted to remember; null for nothing.</summary>
    public string? Description { get; init; }

    /// <summary>When it was made, in whole seconds.</summary>
    public required DateTimeOffset CreationTime { get; init; }

    /// <summary>Whether the domain ran.</summary>
    public required DomainState State { get; init; }

    /// <summary>The disks that took part.</summary>
    public required IReadOnlyList<SnapshotDiskRecord> Disks { get; init; }

    /// <summary>
    /// Of a snapshot that was just made, what went wrong when the disks had switched to the new files, and does not change that: an image below could not be made read-only, or a disk, of a
    /// domain that is shut off, could not be closed well. Null for nothing. It is not remembered, and libvirt's callers are not told it.
    /// </summary>
    public LibvirtError? LateError { get; init; }

    /// <summary>The description (<c>virDomainSnapshotGetXMLDesc</c>), with the frozen file of each disk besides.</summary>
    public string GetXml() => ToXml().ToString();

    internal static SnapshotRecord Read(XElement snapshot)
    {
        XElement created = snapshot.RequiredChild("creationTime");
        if (!long.TryParse(created.Value, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) || seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds())
        {
            throw XmlText.Invalid(created, $"found is '{created.Value}'; expected are seconds since 1970.");
        }

        XElement state = snapshot.RequiredChild("state");
        return new SnapshotRecord
        {
            Name = SnapshotDefinition.CheckName(snapshot.RequiredChild("name").Value),
            Parent = snapshot.Child("parent")?.RequiredChild("name").Value,
            Description = snapshot.Child("description")?.Value,
            CreationTime = DateTimeOffset.FromUnixTimeSeconds(seconds),
            State = state.Value switch
            {
                // libvirt says "disk-snapshot" for disks alone of a domain that runs.
                "disk-snapshot" or "running" => DomainState.Running,
                "shutoff" => DomainState.ShutOff,
                _ => throw XmlText.Invalid(state, $"found is '{state.Value}'; allowed are disk-snapshot, running and shutoff."),
            },
            Disks = [.. snapshot.RequiredChild("disks").Elements("disk").Select(SnapshotDiskRecord.Read)],
        };
    }

    internal XElement ToXml() => new(
        "domainsnapshot",
        new XElement("name", Name),
        Description is null ? null : new XElement("description", Description),
        new XElement("state", State == DomainState.Running ? "disk-snapshot" : "shutoff"),
        Parent is null ? null : new XElement("parent", new XElement("name", Parent)),
        new XElement("creationTime", CreationTime.ToUnixTimeSeconds()),
        new XElement("memory", new XAttribute("snapshot", "no")),
        new XElement("disks", Disks.Select(disk => disk.ToXml())));
}
