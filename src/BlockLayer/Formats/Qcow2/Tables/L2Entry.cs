namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// One standard entry of an L2 table, or the first word of an extended one. qcow2 spec, "Cluster mapping", "L2 table entry".
/// </summary>
/// <remarks>
/// <code>
///  63      62          61 ............................... 0
///  copied  compressed  standard: host offset in bits 9-55, zero flag in bit 0
///                      compressed: host offset and sector count, see <see cref="CompressedDescriptor"/>
/// </code>
/// </remarks>
internal readonly record struct L2Entry(ulong Raw)
{
    /// <summary>Bytes on disk, big-endian.</summary>
    public const int Size = sizeof(ulong);

    /// <summary>Not in this image.</summary>
    public static readonly L2Entry Unallocated = new(0);

    /// <summary>Zeroes without a host cluster.</summary>
    public static readonly L2Entry ZeroPlain = new(ZeroFlag);

    private const ulong CopiedFlag = 1UL << 63;
    private const ulong CompressedFlag = 1UL << 62;
    private const ulong ZeroFlag = 1UL;
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong ReservedMask = 0x3f00_0000_0000_01fe;

    /// <summary>The host cluster's refcount is exactly one, so it may be written in place. Never set on a compressed cluster.</summary>
    public bool IsCopied => (Raw & CopiedFlag) != 0;

    /// <summary>The low bits are a <see cref="CompressedDescriptor"/>.</summary>
    public bool IsCompressed => (Raw & CompressedFlag) != 0;

    /// <summary>A standard entry whose cluster reads as zeroes.</summary>
    public bool IsZero => (Raw & (ZeroFlag | CompressedFlag)) == ZeroFlag;

    /// <summary>A standard entry with bits set that must not be.</summary>
    public bool HasReservedBits => !IsCompressed && (Raw & ReservedMask) != 0;

    /// <summary>Where the host cluster of a standard entry starts; 0 when there is none.</summary>
    public HostOffset HostOffset => new((long)(Raw & OffsetMask));

    /// <summary>The decoded kind of a standard entry. With extended entries a <see cref="ClusterKind.Data"/> cluster has a state for each subcluster.</summary>
    public ClusterKind Kind
    {
        get
        {
            if (IsCompressed)
            {
                return ClusterKind.Compressed;
            }

            // Offset 0 is a cluster in a data file only, and copied then: FromDisk takes the flag from everything else.
            return (Raw & ZeroFlag) == 0
                ? (Raw & (OffsetMask | CopiedFlag)) != 0 ? ClusterKind.Data : ClusterKind.Unallocated
                : (Raw & OffsetMask) != 0 ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain;
        }
    }

    /// <summary>
    /// The entry as it is to be understood. qcow2 spec, "Standard Cluster Descriptor": offset 0 with the copied flag is a cluster where there is an external data
    /// file; where there is none the flag means nothing, and is dropped here.
    /// </summary>
    public static L2Entry FromDisk(ulong raw, ClusterGeometry g)
    {
        var entry = new L2Entry(raw);
        return g.HasDataFile || entry.IsCompressed || (raw & OffsetMask) != 0 ? entry : entry.WithCopied(false);
    }

    /// <summary>Where the stream of a compressed entry lies. Only for <see cref="ClusterKind.Compressed"/>.</summary>
    public CompressedDescriptor Compressed(ClusterGeometry g) => CompressedDescriptor.Parse(Raw & ~(CopiedFlag | CompressedFlag), g);

    /// <summary>Data in a host cluster with refcount one.</summary>
    public static L2Entry ForData(HostOffset host) => new((ulong)host.Value & OffsetMask | CopiedFlag);

    /// <summary>Zeroes that keep a host cluster with refcount one.</summary>
    public static L2Entry ForZeroAllocated(HostOffset host) => new((ulong)host.Value & OffsetMask | CopiedFlag | ZeroFlag);

    /// <summary>A compressed stream.</summary>
    public static L2Entry ForCompressed(CompressedDescriptor stream, ClusterGeometry g) => new(stream.ToBits(g) | CompressedFlag);

    /// <summary>The same mapping with the copied flag set or cleared.</summary>
    public L2Entry WithCopied(bool copied) => new(copied ? Raw | CopiedFlag : Raw & ~CopiedFlag);

    /// <summary>The same mapping without the zero flag, which extended entries do not have. A compressed entry, whose bit 0 is part of an offset, stays as it is.</summary>
    public L2Entry WithoutZero() => IsCompressed ? this : new(Raw & ~ZeroFlag);

    /// <summary>The same mapping without the bits that must not be set.</summary>
    public L2Entry WithoutReservedBits() => IsCompressed ? this : new(Raw & ~ReservedMask);

    /// <summary>The same flags of a standard entry with another host cluster.</summary>
    public L2Entry WithHost(HostOffset host) => new(Raw & ~OffsetMask | (ulong)host.Value & OffsetMask);

    /// <summary>
    /// Whether what the entry points to can be located and starts in a file of <paramref name="fileLength"/> bytes. In a data file it may start past the end, and
    /// reads as zeroes there.
    /// </summary>
    public EntryFault Validate(ClusterGeometry g, int version, long fileLength)
    {
        if (IsCompressed)
        {
            return g.HasDataFile ? EntryFault.CompressedWithDataFile : Compressed(g).Validate(g, fileLength);
        }

        // With extended entries bit 0 is reserved: zeroes are told by the second word.
        bool extended = g.L2EntryFormat == L2EntryFormat.Extended;
        if (IsZero && version < 3)
        {
            return EntryFault.ZeroInVersion2;
        }

        if (!HostOffset.IsAligned(g))
        {
            return EntryFault.Unaligned;
        }

        if (HostOffset.Value >= fileLength && HostOffset.Value != 0 && !g.HasDataFile)
        {
            return EntryFault.PastEnd;
        }

        ulong reserved = extended ? ReservedMask | ZeroFlag : ReservedMask;
        return (Raw & reserved) == 0 ? EntryFault.None : EntryFault.ReservedBits;
    }
}
