namespace BlockLayer.Formats.Qcow2;

/// <summary>One entry of an L1 table: where an L2 table is. qcow2 spec, "Cluster mapping", "L1 table entry".</summary>
internal readonly record struct L1Entry(ulong Raw)
{
    /// <summary>Bytes on disk, big-endian.</summary>
    public const int Size = sizeof(ulong);

    /// <summary>No L2 table: every cluster it would map is unallocated.</summary>
    public static readonly L1Entry Unallocated = new(0);

    private const ulong CopiedFlag = 1UL << 63;
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong ReservedMask = 0x7f00_0000_0000_01ff;

    /// <summary>True when there is an L2 table.</summary>
    public bool IsAllocated => (Raw & OffsetMask) != 0;

    /// <summary>There is an L2 table and its refcount is exactly one, so it may be written in place. Only reliable in the active L1 table.</summary>
    public bool IsCopied => IsAllocated && (Raw & CopiedFlag) != 0;

    /// <summary>Bits are set that must not be.</summary>
    public bool HasReservedBits => (Raw & ReservedMask) != 0;

    /// <summary>Where the L2 table starts; 0 when there is none.</summary>
    public HostOffset L2Table => new((long)(Raw & OffsetMask));

    /// <summary>An entry for an L2 table with refcount one.</summary>
    public static L1Entry ForTable(HostOffset table) => new((ulong)table.Value & OffsetMask | CopiedFlag);

    /// <summary>The same table with the copied flag set or cleared.</summary>
    public L1Entry WithCopied(bool copied) => new(copied ? Raw | CopiedFlag : Raw & ~CopiedFlag);

    /// <summary>The same table without the bits that must not be set.</summary>
    public L1Entry WithoutReservedBits() => new(Raw & ~ReservedMask);

    /// <summary>The same flags with another table.</summary>
    public L1Entry WithTable(HostOffset table) => new(Raw & ~OffsetMask | (ulong)table.Value & OffsetMask);

    /// <summary>Whether the table can be located and lies in a file of <paramref name="fileLength"/> bytes.</summary>
    public EntryFault Validate(ClusterGeometry g, long fileLength)
    {
        if (!IsAllocated)
        {
            return HasReservedBits ? EntryFault.ReservedBits : EntryFault.None;
        }

        if (!L2Table.IsAligned(g))
        {
            return EntryFault.Unaligned;
        }

        if (L2Table.Value >= fileLength)
        {
            return EntryFault.PastEnd;
        }

        return HasReservedBits ? EntryFault.ReservedBits : EntryFault.None;
    }
}
