using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>A domain as its description defines it. What the block layer has no use for is kept and given back as it is.</summary>
internal sealed class DomainDefinition
{
    private readonly XElement _xml; // never changed: copies are

    private DomainDefinition(XElement xml, string name, IReadOnlyList<DiskDefinition> disks)
    {
        _xml = xml;
        Name = name;
        Disks = disks;
    }

    internal string Name { get; }

    internal IReadOnlyList<DiskDefinition> Disks { get; }

    /// <summary>Reads a <c>&lt;domain&gt;</c>.</summary>
    /// <exception cref="LibvirtException">XmlDetail, XmlError, ConfigUnsupported.</exception>
    internal static DomainDefinition Parse(string text)
    {
        XElement domain = XmlText.Read(text, "domain");
        DomainXml.ForgetRun(domain);
        return Read(domain);
    }

    /// <summary>A new text for the domain in which each disk of <paramref name="changed"/> replaces the one with its target.</summary>
    internal DomainDefinition With(IReadOnlyList<DomainDisk> changed)
        => Read(DomainXml.Describe(_xml, changed, id: null, DomainXml.Detail.NextStart));

    /// <summary>The text.</summary>
    /// <param name="disks">The disks as they are now; null for those of the description.</param>
    /// <param name="id">The number of a running domain; null for one that does not run.</param>
    internal string ToText(IReadOnlyList<DomainDisk>? disks, int? id)
        => XmlText.Write(disks is null ? _xml : DomainXml.Describe(_xml, disks, id, DomainXml.Detail.Live));

    private static DomainDefinition Read(XElement domain)
    {
        XElement name = domain.RequiredChild("name");
        string text = name.Value.Trim();
        if (text.Length == 0 || text.AsSpan().IndexOfAny("/\0\n") >= 0)
        {
            throw XmlText.Invalid(name, $"the name is '{text}'; expected is one that is not empty and has no slash and no line break.");
        }

        var disks = new List<DiskDefinition>();
        foreach (XElement disk in domain.Child("devices")?.Elements("disk") ?? [])
        {
            DiskDefinition read = DiskDefinition.Read(disk);
            if (disks.Exists(known => known.Target == read.Target))
            {
                throw XmlText.Invalid(disk, $"the target '{read.Target}' is taken by another disk.");
            }

            disks.Add(read);
        }

        return new DomainDefinition(domain, text, disks);
    }
}
