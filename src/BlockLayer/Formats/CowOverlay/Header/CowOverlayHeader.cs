using System.Buffers.Binary;
using System.Text;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>The fields at the start of an add-cow file, little-endian. The names that they lead to lie behind them in the header area.</summary>
/// <remarks>Specified in "add-cow", a proposal for QEMU of 2011 to 2013 that was not merged; the room's README has the table.</remarks>
internal sealed partial record CowOverlayHeader
{
    /// <summary>Bytes of the fields; names begin here at the earliest.</summary>
    internal const int Size = 76;

    private const int BackingNameOffsetAt = 4;
    private const int BackingNameSizeAt = 8;
    private const int ImageNameOffsetAt = 12;
    private const int ImageNameSizeAt = 16;
    private const int ClusterBitsAt = 20;
    private const int FeaturesAt = 24;
    private const int CompatibleFeaturesAt = 32;
    private const int HeaderSizeAt = 40;
    private const int BackingFormatAt = 44;
    private const int ImageFormatAt = 60;
    private const int FormatLength = 16;

    /// <summary>Byte position of the backing file's name; 0 for none.</summary>
    internal uint BackingNameOffset { get; init; }

    /// <summary>Bytes of that name, without a terminator.</summary>
    internal uint BackingNameSize { get; init; }

    /// <summary>Byte position of the image file's name.</summary>
    internal uint ImageNameOffset { get; init; }

    /// <summary>Bytes of that name, without a terminator.</summary>
    internal uint ImageNameSize { get; init; }

    /// <summary>log2 of the cluster size in bytes.</summary>
    internal uint ClusterBits { get; init; }

    /// <summary>Features that a reader must know; none is defined.</summary>
    internal ulong Features { get; init; }

    /// <summary>Features that a reader may ignore.</summary>
    internal CompatibleFeatures CompatibleFeatures { get; init; }

    /// <summary>Bytes of the header area; the bitmap begins there.</summary>
    internal uint HeaderSize { get; init; }

    /// <summary>The backing file's format; empty where it is not recorded.</summary>
    internal string BackingFormat { get; init; } = "";

    /// <summary>The image file's format; empty means raw.</summary>
    internal string ImageFormat { get; init; } = "";

    /// <summary>Bytes in a cluster.</summary>
    internal int ClusterSize => 1 << (int)ClusterBits;

    /// <summary>True when a backing file is named, needed or not.</summary>
    internal bool HasBacking => BackingNameOffset != 0;

    /// <summary>True when the image file is the whole disk: neither backing file nor bitmap is looked at.</summary>
    internal bool IsAllAllocated => (CompatibleFeatures & CompatibleFeatures.AllAllocated) != 0;

    /// <summary>Where the backing file's name lies; empty for none.</summary>
    internal ByteRange BackingNameRange => new(BackingNameOffset, BackingNameSize);

    /// <summary>Where the image file's name lies.</summary>
    internal ByteRange ImageNameRange => new(ImageNameOffset, ImageNameSize);

    private static ReadOnlySpan<byte> Magic => "ACOW"u8;

    /// <summary>The header area of an image with this cluster size, in bytes.</summary>
    internal static int HeaderSizeFor(int clusterSize) => Math.Max(CowOverlayLimits.MinHeaderSize, clusterSize);

    /// <summary>True when the bytes start as an add-cow file does.</summary>
    internal static bool HasMagic(ReadOnlySpan<byte> head) => head.StartsWith(Magic);

    /// <summary>Writes the fields; nothing else of the header area is touched.</summary>
    internal void WriteTo(Span<byte> target)
    {
        Magic.CopyTo(target);
        BinaryPrimitives.WriteUInt32LittleEndian(target[BackingNameOffsetAt..], BackingNameOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(target[BackingNameSizeAt..], BackingNameSize);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ImageNameOffsetAt..], ImageNameOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ImageNameSizeAt..], ImageNameSize);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ClusterBitsAt..], ClusterBits);
        BinaryPrimitives.WriteUInt64LittleEndian(target[FeaturesAt..], Features);
        BinaryPrimitives.WriteUInt64LittleEndian(target[CompatibleFeaturesAt..], (ulong)CompatibleFeatures);
        BinaryPrimitives.WriteUInt32LittleEndian(target[HeaderSizeAt..], HeaderSize);
        WriteFormat(target.Slice(BackingFormatAt, FormatLength), BackingFormat);
        WriteFormat(target.Slice(ImageFormatAt, FormatLength), ImageFormat);
    }

    // Before version 19 of the proposal a name could fill all sixteen bytes; since then the last is a NUL.
    private static string ReadFormat(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        return Encoding.Latin1.GetString(end < 0 ? field : field[..end]);
    }

    private static void WriteFormat(Span<byte> field, string format)
    {
        field.Clear();
        Encoding.Latin1.GetBytes(format, field);
    }
}
