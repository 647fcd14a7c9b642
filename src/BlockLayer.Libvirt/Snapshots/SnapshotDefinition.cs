using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>A snapshot as a caller asks for it (libvirt's <c>&lt;domainsnapshot&gt;</c>, with the proposed <c>&lt;on_delete&gt;</c>).</summary>
public sealed record SnapshotDefinition
{
    /// <summary>What it is to be called; null for the seconds since 1970.</summary>
    public string? Name { get; init; }

    /// <summary>Whatever its author wants to remember; null for nothing.</summary>
    public string? Description { get; init; }

    /// <summary>The disks that the description speaks of; the others take part as they usually do.</summary>
    public IReadOnlyList<SnapshotDiskDefinition> Disks { get; init; } = [];

    /// <summary>Reads a description.</summary>
    /// <exception cref="LibvirtException">XmlDetail: not well-formed, or a name that no file can have; XmlError; ConfigUnsupported: memory, or a snapshot that is not external.</exception>
    public static SnapshotDefinition Parse(string xml)
    {
        XElement root = XmlText.Read(xml, "domainsnapshot");
        if (root.Child("memory") is { } memory && memory.Text("snapshot") is not (null or "no"))
        {
            throw XmlText.Unsupported(memory, "there is no guest memory here; snapshot can only be 'no'.");
        }

        string? name = root.Child("name")?.Value.Trim();
        return new SnapshotDefinition
        {
            Name = string.IsNullOrEmpty(name) ? null : CheckName(name),
            Description = root.Child("description")?.Value,
            Disks = [.. (root.Child("disks")?.Elements("disk") ?? []).Select(SnapshotDiskDefinition.Read)],
        };
    }

    /// <summary>A snapshot's name becomes part of file names.</summary>
    internal static string CheckName(string name)
        => name.Length > 0 && !name.StartsWith('.') && name.AsSpan().IndexOfAny("/\0\r\n") < 0
            ? name
            : throw new LibvirtException(
                LibvirtErrorCode.XmlDetail,
                LibvirtErrorDomain.DomainSnapshot,
                $"A snapshot cannot be called '{name}': allowed are names without slash and line break that do not begin with a dot.");
}
