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
    private const uint AutoFlag = 2;
    private const uint ExtraDataCompatibleFlag = 4;
    private const uint ReservedFlags = ~3u;
    private const byte DirtyTracking = 1;
    private const int MinGranularityBits = 9;
    private const int MaxGranularityBits = 31;

    /// <summary>Bytes. QEMU: the most that one bitmap may take in memory.</summary>
    private const long MaxBitmapLength = 512L << 20;

    /// <summary>The bitmap was not saved correctly.</summary>
    public bool IsInUse => (Flags & InUseFlag) != 0;

    /// <summary>The bitmap is enabled: whoever writes to the disk marks it.</summary>
    public bool IsAuto => (Flags & AutoFlag) != 0;

    /// <summary>The name as it is in the file.</summary>
    public ReadOnlyMemory<byte> NameBytes { get; init; } = Encoding.UTF8.GetBytes(Name);

    /// <summary>Extra data, kept byte for byte.</summary>
    public ReadOnlyMemory<byte> ExtraData { get; init; }

    /// <summary>Bytes in the directory, padding included.</summary>
    public int Length => (int)Alignment.RoundUp(FixedLength + (long)ExtraLength + NameBytes.Length, 8);

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
            extraLength)
        {
            ExtraData = directory.Slice(FixedLength, (int)extraLength).ToArray(),
            NameBytes = directory.Slice(FixedLength + (int)extraLength, nameLength).ToArray(),
        };
        return true;
    }

    /// <summary>An entry for a bitmap of this image, not yet stored anywhere.</summary>
    public static BitmapDirectoryEntry Create(string name, int granularityBits, bool isAuto)
        => new(default, 0, isAuto ? AutoFlag : 0, DirtyTracking, (byte)granularityBits, name, ExtraLength: 0);

    /// <summary>The entry with the flag set, or not.</summary>
    public BitmapDirectoryEntry WithInUse(bool inUse) => this with { Flags = inUse ? Flags | InUseFlag : Flags & ~InUseFlag };

    /// <summary>The entry with the flag set, or not.</summary>
    public BitmapDirectoryEntry WithAuto(bool isAuto) => this with { Flags = isAuto ? Flags | AutoFlag : Flags & ~AutoFlag };

    /// <summary>Writes the entry; returns its <see cref="Length"/>.</summary>
    public int WriteTo(Span<byte> directory)
    {
        directory[..Length].Clear();
        BinaryPrimitives.WriteInt64BigEndian(directory, TableOffset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(directory[8..], TableEntries);
        BinaryPrimitives.WriteUInt32BigEndian(directory[12..], Flags);
        directory[16] = Type;
        directory[17] = GranularityBits;
        BinaryPrimitives.WriteUInt16BigEndian(directory[18..], (ushort)NameBytes.Length);
        BinaryPrimitives.WriteUInt32BigEndian(directory[20..], ExtraLength);
        ExtraData.Span.CopyTo(directory[FixedLength..]);
        NameBytes.Span.CopyTo(directory[(FixedLength + ExtraData.Length)..]);
        return Length;
    }

    /// <summary>Why the bitmap cannot be used here, whether or not it was saved correctly; null when it can.</summary>
    public string? FindObstacle(ClusterGeometry g, long virtualSize, long fileLength)
    {
        if ((Flags & ReservedFlags & ~ExtraDataCompatibleFlag) != 0)
        {
            return $"its flags are 0x{Flags:x}, of which only 0x7 are known";
        }

        if (Type != DirtyTracking)
        {
            return $"its type is {Type}; known is only {DirtyTracking}, dirty tracking";
        }

        if (ExtraLength != 0 && (Flags & ExtraDataCompatibleFlag) == 0)
        {
            return $"it has {ExtraLength} bytes of extra data that must be understood to use it";
        }

        if (GranularityBits is < MinGranularityBits or > MaxGranularityBits)
        {
            return $"granularity_bits is {GranularityBits}; supported are {MinGranularityBits} to {MaxGranularityBits}";
        }

        if (NameBytes.Length is 0 or > Qcow2Limits.MaxBitmapNameLength)
        {
            return $"its name has {NameBytes.Length} bytes; allowed are 1 to {Qcow2Limits.MaxBitmapNameLength}";
        }

        if (TableEntries == 0 || TableEntries > MaxBitmapLength / g.ClusterSize)
        {
            return $"its table has {TableEntries} entries; allowed are 1 to {MaxBitmapLength / g.ClusterSize}";
        }

        if (TableOffset.Value <= 0 || !TableOffset.IsAligned(g) || TableRange.Length > fileLength - TableOffset.Value)
        {
            return $"its table of {TableRange.Length} bytes at byte {TableOffset.Value} does not start at a cluster or does not end inside the file";
        }

        return !IsInUse && virtualSize > ((Int128)TableEntries * g.ClusterSize * 8 << GranularityBits)
            ? $"its table has {TableEntries} entries, too few for a disk of {virtualSize} bytes"
            : null;
    }

    /// <summary>True when a reader can make sense of the entry: its table can be located, is no larger than allowed, and covers the disk.</summary>
    public bool IsValid(ClusterGeometry g, long virtualSize)
    {
        if (TableEntries == 0 || TableOffset.Value <= 0 || !TableOffset.IsAligned(g)
            || (Flags & ReservedFlags & ~ExtraDataCompatibleFlag) != 0 || Type != DirtyTracking
            || (ExtraLength != 0 && (Flags & ExtraDataCompatibleFlag) == 0)
            || GranularityBits is < MinGranularityBits or > MaxGranularityBits
            || NameBytes.Length is 0 or > Qcow2Limits.MaxBitmapNameLength || TableEntries > MaxBitmapLength / g.ClusterSize)
        {
            return false;
        }

        Int128 covered = (Int128)TableEntries * g.ClusterSize * 8 << GranularityBits;
        return IsInUse || virtualSize <= covered;
    }
}
