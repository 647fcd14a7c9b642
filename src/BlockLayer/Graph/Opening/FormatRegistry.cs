using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>The formats an opener knows.</summary>
public sealed class FormatRegistry
{
    private readonly ImageFormat[] _formats;

    /// <summary>Makes a registry of the given formats.</summary>
    public FormatRegistry(params ImageFormat[] formats) => _formats = formats;

    /// <summary>The formats, in the order they are asked to probe.</summary>
    public IReadOnlyList<ImageFormat> Formats => _formats;

    /// <summary>The format called <paramref name="name"/>.</summary>
    /// <exception cref="BlockLayerException">Unsupported: there is none. The message lists those that are.</exception>
    public ImageFormat Get(string name) => Get(name, path: null);

    /// <summary>As <see cref="Get(string)"/>, for the file <paramref name="path"/>, which the error names.</summary>
    internal ImageFormat Get(string name, string? path)
        => Array.Find(_formats, format => format.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"'{name}' is no known image format; known are {string.Join(", ", _formats.Select(format => format.Name))}.") { Path = path };

    /// <summary>The format whose magic <paramref name="head"/> shows; null if none does.</summary>
    public ImageFormat? Probe(ReadOnlySpan<byte> head)
    {
        foreach (ImageFormat format in _formats)
        {
            if (format.Probe(head))
            {
                return format;
            }
        }

        return null;
    }
}
