using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>One entry of the snapshot table, kept byte for byte. qcow2 spec, "Snapshots".</summary>
/// <param name="Raw">The whole entry with its padding.</param>
internal sealed partial record SnapshotEntry(ReadOnlyMemory<byte> Raw)
{
    /// <summary>Bytes in front of extra data, ID and name.</summary>
    public const int FixedLength = 40;

    private const int L1SizeAt = 8;
    private const int IdSizeAt = 12;
    private const int NameSizeAt = 14;
    private const int SecondsAt = 16;
    private const int NanosecondsAt = 20;
    private const int GuestTimeAt = 24;
    private const int VmStateSizeAt = 32;
    /// <summary>Where an entry says how much extra data it has.</summary>
    internal const int ExtraSizeAt = 36;

    private const int LargeVmStateSizeAt = 40;
    private const int DiskSizeAt = 48;
    private const int InstructionCountAt = 56;

    /// <summary>Bytes of extra data that version 3 demands. qcow2 spec, "Snapshots": at least up to byte 55.</summary>
    private const int Version3ExtraLength = DiskSizeAt + 8 - FixedLength;

    /// <summary>Where the snapshot's L1 table starts.</summary>
    public HostOffset L1TableOffset => new(BinaryPrimitives.ReadInt64BigEndian(Raw.Span));

    /// <summary>Entries in the snapshot's L1 table.</summary>
    public uint L1Size => BinaryPrimitives.ReadUInt32BigEndian(Raw.Span[L1SizeAt..]);

    /// <summary>The unique ID; bytes that are not UTF-8 become replacement characters.</summary>
    public string Id => Encoding.UTF8.GetString(Raw.Span.Slice(FixedLength + (int)ExtraLength, IdLength));

    /// <summary>The name; bytes that are not UTF-8 become replacement characters.</summary>
    public string Name => Encoding.UTF8.GetString(Raw.Span.Slice(FixedLength + (int)ExtraLength + IdLength, NameLength));

    /// <summary>When the snapshot was taken.</summary>
    public DateTimeOffset Taken
        => DateTimeOffset.UnixEpoch.AddSeconds(BinaryPrimitives.ReadUInt32BigEndian(Raw.Span[SecondsAt..]))
            .AddTicks(BinaryPrimitives.ReadUInt32BigEndian(Raw.Span[NanosecondsAt..]) / TimeSpan.NanosecondsPerTick);

    /// <summary>Nanoseconds the guest had run.</summary>
    public ulong GuestTime => BinaryPrimitives.ReadUInt64BigEndian(Raw.Span[GuestTimeAt..]);

    /// <summary>Bytes of VM state, which follow the virtual disk in the snapshot's mapping.</summary>
    public ulong VmStateSize => ExtraLength >= LargeVmStateSizeAt + 8 - FixedLength
        ? BinaryPrimitives.ReadUInt64BigEndian(Raw.Span[LargeVmStateSizeAt..])
        : BinaryPrimitives.ReadUInt32BigEndian(Raw.Span[VmStateSizeAt..]);

    /// <summary>Bytes of the virtual disk when the snapshot was taken; null where a version 2 image does not say, then it is the image's size.</summary>
    public ulong? DiskSize => ExtraLength >= Version3ExtraLength ? BinaryPrimitives.ReadUInt64BigEndian(Raw.Span[DiskSizeAt..]) : null;

    /// <summary>Instructions the guest had run; null where nobody counted them.</summary>
    public ulong? InstructionCount
        => ExtraLength >= InstructionCountAt + 8 - FixedLength && BinaryPrimitives.ReadUInt64BigEndian(Raw.Span[InstructionCountAt..]) is not ulong.MaxValue and var count
            ? count
            : null;

    /// <summary>Where the snapshot's L1 table lies.</summary>
    public ByteRange L1TableRange => new(L1TableOffset.Value, (long)L1Size * L1Entry.Size);

    /// <summary>True when the snapshot's L1 table starts at a cluster and is no larger than allowed, so that it can be looked at.</summary>
    public bool IsL1Locatable(ClusterGeometry g)
        => L1TableOffset.Value >= 0 && L1TableOffset.IsAligned(g) && L1TableRange.Length <= Qcow2Limits.MaxL1TableLength;

    /// <summary>Bytes of extra data, as the entry says.</summary>
    public uint ExtraLength => BinaryPrimitives.ReadUInt32BigEndian(Raw.Span[ExtraSizeAt..]);

    /// <summary>Bytes of ID and name together.</summary>
    public int TextLength => IdLength + NameLength;

    /// <summary>True for an entry that says nothing: zeroes, which is what follows a table too.</summary>
    public bool IsEmpty => !Raw.Span.ContainsAnyExcept((byte)0);

    private int IdLength => BinaryPrimitives.ReadUInt16BigEndian(Raw.Span[IdSizeAt..]);

    private int NameLength => BinaryPrimitives.ReadUInt16BigEndian(Raw.Span[NameSizeAt..]);


    /// <summary>The same entry with another L1 table.</summary>
    public SnapshotEntry WithL1(HostOffset table, uint entries)
    {
        byte[] raw = Raw.ToArray();
        BinaryPrimitives.WriteInt64BigEndian(raw, table.Value);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(L1SizeAt), entries);
        return new SnapshotEntry(raw);
    }

    /// <summary>The same entry with the extra data that version 3 wants: the sizes of VM state and disk. What extra data it had is less than that.</summary>
    public SnapshotEntry WithSizes(ulong diskSize)
    {
        const int Extra = DiskSizeAt + 8 - FixedLength;
        int named = IdLength + NameLength;
        byte[] raw = new byte[Alignment.RoundUp(FixedLength + Extra + named, 8)];
        Raw.Span[..FixedLength].CopyTo(raw);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(ExtraSizeAt), Extra);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(LargeVmStateSizeAt), VmStateSize);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(DiskSizeAt), diskSize);
        Raw.Span.Slice(FixedLength + (int)ExtraLength, named).CopyTo(raw.AsSpan(FixedLength + Extra));
        return new SnapshotEntry(raw);
    }

    /// <summary>Bytes of the entry that starts here, without padding. Needs <see cref="FixedLength"/> bytes.</summary>
    /// <param name="start">The entry's first bytes.</param>
    /// <param name="at">Where it starts in the file, for the message.</param>
    /// <exception cref="ImageFormatException">InvalidFormat: more extra data than a reader is willing to keep.</exception>
    public static int ReadLength(ReadOnlySpan<byte> start, HostOffset at)
    {
        uint extra = BinaryPrimitives.ReadUInt32BigEndian(start[ExtraSizeAt..]);
        if (extra > Qcow2Limits.MaxSnapshotExtraLength)
        {
            throw ImageFormatException.OutOfRange("extra data size of a snapshot", at.Value + ExtraSizeAt, extra, 0, Qcow2Limits.MaxSnapshotExtraLength);
        }

        return FixedLength + (int)extra + BinaryPrimitives.ReadUInt16BigEndian(start[IdSizeAt..]) + BinaryPrimitives.ReadUInt16BigEndian(start[NameSizeAt..]);
    }

    /// <summary>Whether the snapshot's L1 table can be located, is no larger than allowed and lies in a file of <paramref name="fileLength"/> bytes.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat or Corrupt.</exception>
    public void Validate(ClusterGeometry g, HostOffset at, long fileLength)
    {
        if (L1TableOffset.Value < 0 || !L1TableOffset.IsAligned(g))
        {
            throw ImageFormatException.Invalid("L1 table offset of a snapshot", at.Value, $"0x{L1TableOffset.Value:x}", $"a multiple of the cluster size {g.ClusterSize}");
        }

        const long maxEntries = Qcow2Limits.MaxL1TableLength / L1Entry.Size;
        if (L1Size > maxEntries)
        {
            throw ImageFormatException.OutOfRange("L1 table size of a snapshot", at.Value + L1SizeAt, L1Size, 0, maxEntries);
        }

        if (L1Size > 0 && (L1TableOffset.Value > fileLength || L1TableRange.Length > fileLength - L1TableOffset.Value))
        {
            throw ImageFormatException.Corrupt("L1 table of a snapshot", at.Value, $"L1 table of snapshot \"{Name}\" {L1TableRange} does not end inside the file of {fileLength} bytes.");
        }
    }
}
