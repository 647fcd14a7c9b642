using System.Globalization;
using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>Writes what disks are now into a description, in libvirt's elements and order.</summary>
internal static class DomainXml
{
    /// <summary>What is written.</summary>
    internal enum Detail
    {
        /// <summary>All: the chain with its indexes, and a mirror.</summary>
        Live,

        /// <summary>What the next start needs: the source alone, whose chain is then found anew.</summary>
        NextStart,
    }

    /// <summary>
    /// A copy of <paramref name="domain"/> in which the given disks are as they are now. A disk that is not given stays as it was; of a domain that runs, it was left
    /// out, and is left out here.
    /// </summary>
    internal static XElement Describe(XElement domain, IReadOnlyList<DomainDisk> disks, int? id, Detail detail)
    {
        var described = new XElement(domain);
        described.SetAttributeValue("id", id?.ToString(CultureInfo.InvariantCulture));
        foreach (XElement element in described.Element("devices")?.Elements("disk").ToArray() ?? [])
        {
            string? target = element.Element("target")?.Text("dev");
            if (disks.FirstOrDefault(disk => disk.Target == target) is { } disk)
            {
                Describe(element, disk, detail);
            }
            else if (detail == Detail.Live)
            {
                element.Remove();
            }
        }

        return described;
    }

    /// <summary>Takes out what was true of one run alone, so that the description of a domain that ran can define one: the domain's number, jobs' second files, the numbers of images.</summary>
    internal static void ForgetRun(XElement domain)
    {
        domain.SetAttributeValue("id", null);
        foreach (XElement disk in domain.Element("devices")?.Elements("disk") ?? [])
        {
            disk.Elements("mirror").Remove();
            foreach (XElement image in disk.Descendants().Where(static each => each.Name == "source" || each.Name == "backingStore"))
            {
                image.SetAttributeValue("index", null);
            }
        }
    }

    private static void Describe(XElement element, DomainDisk disk, Detail detail)
    {
        element.Element("backingStore")?.Remove();
        element.Element("mirror")?.Remove();
        XElement? old = element.Element("source");
        if (disk.Source is not { } source)
        {
            old?.Remove();
            return;
        }

        element.SetAttributeValue("type", source.TypeName);
        if (disk.Format is { } format)
        {
            XElement? driver = element.Element("driver");
            if (driver is null)
            {
                driver = new XElement("driver", new XAttribute("name", "qemu"));
                element.AddFirst(driver);
            }

            driver.SetAttributeValue("type", format);
        }

        XElement written = source.ToXml();
        if (old is null)
        {
            element.Add(written);
        }
        else
        {
            // What else is said of the source (startupPolicy, ...) stays.
            old.SetAttributeValue("file", null);
            old.SetAttributeValue("dev", null);
            old.Add(written.Attributes());
            written = old;
        }

        if (detail == Detail.NextStart)
        {
            return;
        }

        if (disk.Mirror is { } mirror)
        {
            written.AddAfterSelf(Describe(mirror));
        }

        written.AddAfterSelf(DescribeBelow(disk.Chain));
    }

    // From the bottom up: each store holds the one below it, and an empty one says that the chain ends.
    private static XElement DescribeBelow(IReadOnlyList<ChainElement> chain)
    {
        var below = new XElement("backingStore");
        for (int index = chain.Count - 1; index > 0; index--)
        {
            below = new XElement(
                "backingStore",
                new XAttribute("type", chain[index].Source.TypeName),
                new XAttribute("index", index),
                new XElement("format", new XAttribute("type", chain[index].Format)),
                chain[index].Source.ToXml(),
                below);
        }

        return below;
    }

    private static XElement Describe(DiskMirror mirror)
    {
        string job = mirror.Job == BlockJobType.ActiveCommit ? "active-commit" : "copy";
        var element = new XElement("mirror", new XAttribute("type", mirror.Source.TypeName), new XAttribute("job", job));
        element.SetAttributeValue("ready", mirror.State switch
        {
            MirrorStage.Ready => "yes",
            MirrorStage.Pivoting => "pivot",
            MirrorStage.Aborting => "abort",
            _ => null,
        });
        element.Add(new XElement("format", new XAttribute("type", mirror.Format)), mirror.Source.ToXml());
        return element;
    }
}
