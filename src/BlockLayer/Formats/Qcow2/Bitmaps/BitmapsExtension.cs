using System.Buffers.Binary;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Where the bitmap directory is. qcow2 spec, "Bitmaps extension".</summary>
/// <param name="Count">nb_bitmaps.</param>
/// <param name="Reserved">Must be zero.</param>
/// <param name="DirectoryLength">Bytes of the bitmap directory. Negative for 2^63 or more.</param>
/// <param name="DirectoryOffset">Where the bitmap directory starts.</param>
internal readonly record struct BitmapsExtension(uint Count, uint Reserved, long DirectoryLength, HostOffset DirectoryOffset)
{
    /// <summary>Bytes of the extension's data.</summary>
    public const int Size = 24;

    /// <summary>Reads the extension's data, which is <see cref="Size"/> bytes.</summary>
    public static BitmapsExtension Parse(ReadOnlySpan<byte> data) => new(
        BinaryPrimitives.ReadUInt32BigEndian(data),
        BinaryPrimitives.ReadUInt32BigEndian(data[4..]),
        BinaryPrimitives.ReadInt64BigEndian(data[8..]),
        new HostOffset(BinaryPrimitives.ReadInt64BigEndian(data[16..])));

    /// <summary>True when the directory can be located and is no larger than allowed.</summary>
    public bool IsValid(ClusterGeometry g)
        => Reserved == 0
            && Count is > 0 and <= Qcow2Limits.MaxBitmaps
            && DirectoryLength is > 0 and <= Qcow2Limits.MaxBitmapDirectoryLength
            && DirectoryOffset.Value > 0
            && DirectoryOffset.IsAligned(g);

    /// <summary>The header extension that says this.</summary>
    public HeaderExtension ToExtension()
    {
        byte[] data = new byte[Size];
        BinaryPrimitives.WriteUInt32BigEndian(data, Count);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(4), Reserved);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(8), DirectoryLength);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(16), DirectoryOffset.Value);
        return HeaderExtension.Create(HeaderExtensionType.Bitmaps, data);
    }
}
