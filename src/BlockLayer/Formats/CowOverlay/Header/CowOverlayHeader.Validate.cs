using System.Buffers.Binary;
using BlockLayer.Errors;

namespace BlockLayer.Formats.CowOverlay;

// The judge: can things be located, are they inside the file, are they ours to read.
internal sealed partial record CowOverlayHeader
{
    /// <summary>Reads the fields and judges them.</summary>
    /// <param name="head">The first <see cref="Size"/> bytes of the file, fewer if it is shorter.</param>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <exception cref="ImageFormatException">InvalidFormat, Corrupt (the file ends inside the header area) or Unsupported.</exception>
    internal static CowOverlayHeader Parse(ReadOnlySpan<byte> head, long fileLength)
    {
        if (!HasMagic(head))
        {
            throw ImageFormatException.Invalid("magic", 0, Convert.ToHexString(head[..Math.Min(4, head.Length)]), "41434F57 (\"ACOW\")");
        }

        if (head.Length < Size)
        {
            throw ImageFormatException.Corrupt("header", 0, $"The file is {fileLength} bytes long; the fields of an add-cow header take {Size}.");
        }

        CowOverlayHeader header = ReadFields(head);
        header.Validate(fileLength);
        return header;
    }

    /// <summary>The fields as they are, whatever they hold.</summary>
    /// <param name="head">The first <see cref="Size"/> bytes of the file.</param>
    internal static CowOverlayHeader ReadFields(ReadOnlySpan<byte> head) => new()
    {
        BackingNameOffset = BinaryPrimitives.ReadUInt32LittleEndian(head[BackingNameOffsetAt..]),
        BackingNameSize = BinaryPrimitives.ReadUInt32LittleEndian(head[BackingNameSizeAt..]),
        ImageNameOffset = BinaryPrimitives.ReadUInt32LittleEndian(head[ImageNameOffsetAt..]),
        ImageNameSize = BinaryPrimitives.ReadUInt32LittleEndian(head[ImageNameSizeAt..]),
        ClusterBits = BinaryPrimitives.ReadUInt32LittleEndian(head[ClusterBitsAt..]),
        Features = BinaryPrimitives.ReadUInt64LittleEndian(head[FeaturesAt..]),
        CompatibleFeatures = (CompatibleFeatures)BinaryPrimitives.ReadUInt64LittleEndian(head[CompatibleFeaturesAt..]),
        HeaderSize = BinaryPrimitives.ReadUInt32LittleEndian(head[HeaderSizeAt..]),
        BackingFormat = ReadFormat(head.Slice(BackingFormatAt, FormatLength)),
        ImageFormat = ReadFormat(head.Slice(ImageFormatAt, FormatLength)),
    };

    private void Validate(long fileLength)
    {
        if (Features != 0)
        {
            throw ImageFormatException.Unsupported("features", FeaturesAt, $"features is 0x{Features:x} at byte {FeaturesAt}; no such feature is known.");
        }

        if (ClusterBits is < CowOverlayLimits.MinClusterBits or > CowOverlayLimits.MaxClusterBits)
        {
            throw ImageFormatException.OutOfRange(
                "cluster_bits", ClusterBitsAt, ClusterBits, CowOverlayLimits.MinClusterBits, CowOverlayLimits.MaxClusterBits);
        }

        int expected = HeaderSizeFor(ClusterSize);
        if (HeaderSize != expected)
        {
            throw ImageFormatException.Invalid("header_size", HeaderSizeAt, $"{HeaderSize}", $"{expected} with clusters of {ClusterSize} bytes");
        }

        if (fileLength < HeaderSize)
        {
            throw ImageFormatException.Corrupt("header_size", HeaderSizeAt, $"The header area is {HeaderSize} bytes long, and the file {fileLength}.");
        }

        if (BackingNameOffset != 0 || BackingNameSize != 0)
        {
            ThrowIfNameOutside("backing_filename", BackingNameOffsetAt, BackingNameOffset, BackingNameSize);
        }

        ThrowIfNameOutside("image_filename", ImageNameOffsetAt, ImageNameOffset, ImageNameSize);
        if (ImageFormat is not ("" or "raw"))
        {
            throw ImageFormatException.Unsupported(
                "image_format",
                ImageFormatAt,
                $"image_format is '{ImageFormat}' at byte {ImageFormatAt}; only raw image files are opened: one that has a backing file of its own would hide it.");
        }
    }

    private void ThrowIfNameOutside(string field, int at, uint offset, uint size)
    {
        if (offset < Size || offset > HeaderSize - 2)
        {
            throw ImageFormatException.OutOfRange($"{field}_offset", at, offset, Size, HeaderSize - 2);
        }

        // Spelt so that no sum can overflow: the offset is inside the area by now.
        if (size == 0 || size > HeaderSize - offset || size >= HeaderSize - Size)
        {
            throw ImageFormatException.OutOfRange($"{field}_size", at + 4, size, 1, Math.Min(HeaderSize - offset, HeaderSize - Size - 1));
        }
    }
}
