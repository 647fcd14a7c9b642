using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Raw;

/// <summary>The part of a file that a raw disk is: QEMU's options <c>offset</c> and <c>size</c> of the raw driver.</summary>
/// <param name="Offset">Where the disk starts in the file, in bytes.</param>
/// <param name="Size">Bytes of the disk, a multiple of 512; null for all up to the end of the file, wherever that comes to be.</param>
internal sealed record RawWindow(long Offset, long? Size)
{
    private const int SectorSize = 512; // QEMU: a size that is no multiple of it is refused

    /// <summary>The whole file.</summary>
    internal static RawWindow All { get; } = new(0, null);

    /// <summary>Reads QEMU's spelling.</summary>
    /// <exception cref="ArgumentException">An option raw does not have, or a value it does not take.</exception>
    internal static RawWindow Parse(IReadOnlyDictionary<string, string> options)
    {
        RawWindow window = All;
        foreach ((string name, string value) in options)
        {
            window = name switch
            {
                "offset" => window with { Offset = ParseBytes(name, value) },
                "size" => window with { Size = ParseBytes(name, value) },
                _ => throw new ArgumentException($"Format raw has no option '{name}' to open an image with; it has offset and size."),
            };
        }

        return window.Size % SectorSize is null or 0 ? window : throw new ArgumentException($"size is {window.Size}; it can be a multiple of {SectorSize}.");
    }

    /// <summary>How long the disk is in a file.</summary>
    /// <exception cref="BlockLayerException">OutOfRange: the file ends before the window does.</exception>
    internal long LengthIn(long fileLength)
    {
        if (Offset > fileLength)
        {
            throw new BlockLayerException(BlockErrorKind.OutOfRange, $"offset is {Offset}; the file ends at {fileLength}.");
        }

        return Size is not { } size ? fileLength - Offset
            : size <= fileLength - Offset ? size
            : throw new BlockLayerException(BlockErrorKind.OutOfRange, $"offset is {Offset} and size {size}; the file ends at {fileLength}.");
    }

    private static long ParseBytes(string name, string value)
        => ByteSize.TryParse(value, out long bytes) && bytes >= 0 ? bytes : throw new ArgumentException($"{name} is '{value}'; it can be a number of bytes such as 1M.");
}
