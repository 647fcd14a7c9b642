using System.Globalization;
using System.Xml.Linq;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Libvirt;

/// <summary>The file that a snapshot puts on a disk, as it is made: everything that decides about its bytes.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Format">Its format.</param>
/// <param name="Length">Size of the virtual disk in bytes.</param>
/// <param name="Backing">What it records about the file that it stands on.</param>
internal sealed record EmptyOverlay(string Path, string Format, long Length, BackingReference Backing)
{
    /// <summary>What is to be created.</summary>
    internal NewImage ToImage() => new() { Format = Format, Length = Length, Backing = Backing, Verification = BackingVerification.None };

    internal static EmptyOverlay Read(XElement overlay)
    {
        XElement backing = overlay.RequiredChild("backing");
        return long.TryParse(overlay.RequiredText("length"), NumberStyles.None, CultureInfo.InvariantCulture, out long length)
            ? new EmptyOverlay(
                overlay.RequiredText("file"), overlay.RequiredText("type"), length, new BackingReference(backing.RequiredText("file"), backing.RequiredText("type")))
            : throw XmlText.Invalid(overlay, $"length is '{overlay.Text("length")}'; expected is a number of bytes.");
    }

    internal XElement ToXml() => new(
        "overlay",
        new XAttribute("type", Format),
        new XAttribute("file", Path),
        new XAttribute("length", Length),
        new XElement("backing", new XAttribute("type", Backing.Format!), new XAttribute("file", Backing.Name)));
}
