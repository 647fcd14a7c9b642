using System.Buffers.Binary;
using System.Text;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>One bitmap: where its table is. qcow2 spec, "Bitmap directory".</summary>
/// <param name="TableOffset">Where the bitmap table starts.</param>
/// <param name="TableEntries">Entries in the bitmap table.</param>
/// <param name="Flags">Bit 0 in_use, bit 1 auto, bit 2 extra_data_compatible.</param>
/// <param name="Type">1: dirty tracking bitmap.</param>
/// <param name="GranularityBits">log2 of the bytes a bit stands for.</param>
/// <param name="Name">The name; bytes that are not UTF-8 become replacement characters.</param>
/// <param name="ExtraLength">Bytes of extra data.</param>
internal sealed record BitmapDirectoryEntry(HostOffset TableOffset, uint TableEntries, uint Flags, byte Type, byte GranularityBits, string Name, uint ExtraLength)
{
    /// <summary>Bytes in front of extra data and name.</summary>
    public const int FixedLength = 24;

    private const uint InUseFlag = 1;
    private const uint ReservedFlags = ~3u;
    private const byte DirtyTracking = 1;
    private const int MinGranularityBits = 9;
    private const int MaxGranularityBits = 31;

    /// <summary>Bytes. QEMU: the most that one bitmap may take in memory.</summary>
    private const long MaxBitmapLength = 512L << 20;

    /// <summary>The bitmap was not saved correctly.</summary>
    public bool IsInUse => (Flags & InUseFlag) != 0;

    /// <summary>Where the bitmap table lies.</summary>
    public ByteRange TableRange => new(TableOffset.Value, TableEntries * (long)BitmapTableEntry.Size);

    /// <summary>Reads the entry at the start of <paramref name="directory"/>; false when it does not end inside.</summary>
    public static bool TryParse(ReadOnlySpan<byte> directory, out BitmapDirectoryEntry? entry, out int length)
    {
        entry = null;
        length = 0;
        if (directory.Length < FixedLength)
        {
            return false;
        }

        int nameLength = BinaryPrimitives.ReadUInt16BigEndian(directory[18..]);
        uint extraLength = BinaryPrimitives.ReadUInt32BigEndian(directory[20..]);
        long end = Alignment.RoundUp(FixedLength + (long)extraLength + nameLength, 8);
        if (end > directory.Length)
        {
            return false;
        }

        length = (int)end;
        entry = new BitmapDirectoryEntry(
            new HostOffset(BinaryPrimitives.ReadInt64BigEndian(directory)),
            BinaryPrimitives.ReadUInt32BigEndian(directory[8..]),
            BinaryPrimitives.ReadUInt32BigEndian(directory[12..]),
            directory[16],
            directory[17],
            Encoding.UTF8.GetString(directory.Slice(FixedLength + (int)extraLength, nameLength)),
            extraLength);
        return true;
    }

    /// <summary>True when a reader can make sense of the entry: its table can be located, is no larger than allowed, and covers the disk.</summary>
    public bool IsValid(ClusterGeometry g, long virtualSize)
    {
        if (TableEntries == 0 || TableOffset.Value <= 0 || !TableOffset.IsAligned(g)
            || (Flags & ReservedFlags) != 0 || Type != DirtyTracking || ExtraLength != 0
            || GranularityBits is < MinGranularityBits or > MaxGranularityBits
            || Name.Length > Qcow2Limits.MaxBitmapNameLength || TableEntries > MaxBitmapLength / g.ClusterSize)
        {
            return false;
        }

        Int128 covered = (Int128)TableEntries * g.ClusterSize * 8 << GranularityBits;
        return IsInUse || virtualSize <= covered;
    }
}
