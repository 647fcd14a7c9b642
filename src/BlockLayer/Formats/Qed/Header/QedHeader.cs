using System.Buffers.Binary;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The fields at the start of a QED image; qed_spec, "Header". All are little-endian. No compat or autoclear bit is defined, so any that is set is unknown.
/// </summary>
internal sealed partial record QedHeader
{
    /// <summary>Bytes that the fields take.</summary>
    internal const int Size = 64;

    /// <summary><c>QED\0</c>, read as a little-endian number.</summary>
    internal const uint Magic = 0x00444551;

    private const int ClusterSizeAt = 4;
    private const int TableSizeAt = 8;
    private const int HeaderSizeAt = 12;
    private const int FeaturesAt = 16;
    private const int CompatFeaturesAt = 24;
    private const int AutoclearFeaturesAt = 32;
    private const int L1TableOffsetAt = 40;
    private const int ImageSizeAt = 48;
    private const int BackingNameOffsetAt = 56;
    private const int BackingNameSizeAt = 60;

    /// <summary>Bytes in a cluster.</summary>
    internal required uint ClusterSize { get; init; }

    /// <summary>Clusters in an L1 or L2 table.</summary>
    internal required uint TableSize { get; init; }

    /// <summary>Clusters before the first one that can hold a table or data.</summary>
    internal required uint HeaderSize { get; init; }

    /// <summary>Features that a program must know to open the image.</summary>
    internal QedFeatures Features { get; init; }

    /// <summary>Features that a program may ignore; they may announce bytes after the header fields whose layout is unknown.</summary>
    internal ulong CompatFeatures { get; init; }

    /// <summary>Features that a program which does not know them clears when it writes.</summary>
    internal ulong AutoclearFeatures { get; init; }

    /// <summary>Byte position of the L1 table.</summary>
    internal required ulong L1TableOffset { get; init; }

    /// <summary>Bytes of the virtual disk.</summary>
    internal required ulong ImageSize { get; init; }

    /// <summary>Byte position of the backing file's name; means something only with <see cref="QedFeatures.BackingFile"/>.</summary>
    internal uint BackingNameOffset { get; init; }

    /// <summary>Bytes of the backing file's name; as <see cref="BackingNameOffset"/>.</summary>
    internal uint BackingNameSize { get; init; }

    /// <summary>True when the image records a backing file.</summary>
    internal bool HasBacking => (Features & QedFeatures.BackingFile) != 0;

    /// <summary>True when the image was not closed cleanly.</summary>
    internal bool NeedsCheck => (Features & QedFeatures.NeedCheck) != 0;

    /// <summary>The sizes that follow; only of a validated header.</summary>
    internal QedGeometry Geometry => new((int)ClusterSize, (int)TableSize);

    /// <summary>First byte that can belong to a table or to data.</summary>
    internal long FirstClusterOffset => (long)HeaderSize * ClusterSize;

    /// <summary>True when <paramref name="head"/> starts with the magic.</summary>
    internal static bool HasMagic(ReadOnlySpan<byte> head) => head.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(head) == Magic;

    /// <summary>Reads the fields as they are; <see cref="Validate"/> judges them.</summary>
    /// <param name="head">The start of the file, as much of it as there is.</param>
    /// <exception cref="ImageFormatException">The magic is missing, or the file ends inside the fields.</exception>
    internal static QedHeader Parse(ReadOnlySpan<byte> head)
    {
        if (!HasMagic(head))
        {
            string found = Convert.ToHexStringLower(head[..Math.Min(4, head.Length)]);
            throw ImageFormatException.Invalid("magic", at: 0, found: $"'{found}'", expected: "'51454400'");
        }

        if (head.Length < Size)
        {
            throw new ImageFormatException(BlockErrorKind.InvalidFormat, "header", 0, $"The file is {head.Length} bytes long; the header takes {Size}.");
        }

        return new QedHeader
        {
            ClusterSize = BinaryPrimitives.ReadUInt32LittleEndian(head[ClusterSizeAt..]),
            TableSize = BinaryPrimitives.ReadUInt32LittleEndian(head[TableSizeAt..]),
            HeaderSize = BinaryPrimitives.ReadUInt32LittleEndian(head[HeaderSizeAt..]),
            Features = (QedFeatures)BinaryPrimitives.ReadUInt64LittleEndian(head[FeaturesAt..]),
            CompatFeatures = BinaryPrimitives.ReadUInt64LittleEndian(head[CompatFeaturesAt..]),
            AutoclearFeatures = BinaryPrimitives.ReadUInt64LittleEndian(head[AutoclearFeaturesAt..]),
            L1TableOffset = BinaryPrimitives.ReadUInt64LittleEndian(head[L1TableOffsetAt..]),
            ImageSize = BinaryPrimitives.ReadUInt64LittleEndian(head[ImageSizeAt..]),
            BackingNameOffset = BinaryPrimitives.ReadUInt32LittleEndian(head[BackingNameOffsetAt..]),
            BackingNameSize = BinaryPrimitives.ReadUInt32LittleEndian(head[BackingNameSizeAt..]),
        };
    }

    /// <summary>Writes the fields over the first <see cref="Size"/> bytes; what follows them is kept.</summary>
    internal void WriteTo(Span<byte> head)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(head, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(head[ClusterSizeAt..], ClusterSize);
        BinaryPrimitives.WriteUInt32LittleEndian(head[TableSizeAt..], TableSize);
        BinaryPrimitives.WriteUInt32LittleEndian(head[HeaderSizeAt..], HeaderSize);
        BinaryPrimitives.WriteUInt64LittleEndian(head[FeaturesAt..], (ulong)Features);
        BinaryPrimitives.WriteUInt64LittleEndian(head[CompatFeaturesAt..], CompatFeatures);
        BinaryPrimitives.WriteUInt64LittleEndian(head[AutoclearFeaturesAt..], AutoclearFeatures);
        BinaryPrimitives.WriteUInt64LittleEndian(head[L1TableOffsetAt..], L1TableOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(head[ImageSizeAt..], ImageSize);
        BinaryPrimitives.WriteUInt32LittleEndian(head[BackingNameOffsetAt..], BackingNameOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(head[BackingNameSizeAt..], BackingNameSize);
    }
}
