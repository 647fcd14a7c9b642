using BlockLayer.Formats.CowOverlay;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>The image formats that come with the library.</summary>
public static class BuiltInFormats
{
    /// <summary>All of them. Raw is last because it never claims a file.</summary>
    public static FormatRegistry All { get; } = new(Qcow2Format.Instance, QedFormat.Instance, CowOverlayFormat.Instance, RawFormat.Instance);
}
