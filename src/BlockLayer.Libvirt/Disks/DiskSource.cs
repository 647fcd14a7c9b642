using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>Where the bytes of a disk, of one layer of its chain or of a copy are.</summary>
/// <param name="IsBlockDevice">Whether it was described as a block device instead of a file.</param>
/// <param name="Path">Its absolute path.</param>
public sealed record DiskSource(bool IsBlockDevice, string Path)
{
    /// <summary>The attribute <c>type</c> of what holds it.</summary>
    internal string TypeName => IsBlockDevice ? "block" : "file";

    /// <summary>Reads what stands below <paramref name="element"/>, which has the attribute <c>type</c>; null where no source is said.</summary>
    /// <exception cref="LibvirtException">XmlError, or ConfigUnsupported: a source that is not local.</exception>
    internal static DiskSource? Read(XElement element)
    {
        bool isBlock = element.Text("type") switch
        {
            "file" or null => false,
            "block" => true,
            { } other => throw XmlText.Unsupported(element, $"type is '{other}'; disks here are of type file or block."),
        };
        if (element.Child("source") is not { } source)
        {
            return null;
        }

        if (source.Child("slices") is { } slices)
        {
            throw XmlText.Unsupported(slices, "a disk here is a whole file or device, not a part of one.");
        }

        string attribute = isBlock ? "dev" : "file";
        string? path = source.Text(attribute);
        if (string.IsNullOrEmpty(path))
        {
            return null;
        }

        return path.StartsWith('/') && !path.Contains('\0', StringComparison.Ordinal)
            ? new DiskSource(isBlock, path)
            : throw XmlText.Invalid(source, $"{attribute} is '{path}'; expected is an absolute path.");
    }

    /// <summary>What is said of an encryption, of the disk or, as it is written today, of its source; null for nothing.</summary>
    internal static XElement? FindEncryption(XElement disk) => disk.Child("encryption") ?? disk.Child("source")?.Child("encryption");

    /// <summary>Refuses an encryption that is asked for: what is made here would silently be readable by everybody.</summary>
    /// <exception cref="LibvirtException">ConfigUnsupported.</exception>
    internal static void RefuseEncryption(XElement disk)
    {
        if (FindEncryption(disk) is { } encryption)
        {
            throw XmlText.Unsupported(encryption, "no image is encrypted here; make an encrypted one first, and use it (REUSE_EXT) without this element.");
        }
    }

    /// <summary>The element <c>source</c>.</summary>
    internal XElement ToXml() => new("source", new XAttribute(IsBlockDevice ? "dev" : "file", Path));
}
