using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>The image formats that come with the library.</summary>
public static class BuiltInFormats
{
    /// <summary>All of them. Raw is last because it never claims a file.</summary>
    public static FormatRegistry All { get; } = new(QedFormat.Instance, RawFormat.Instance);
}
