namespace BlockLayer.Formats.Qcow2;

/// <summary>One entry of the refcount table: where a refcount block is. qcow2 spec, "Host cluster management", "Refcount table entry".</summary>
internal readonly record struct RefcountTableEntry(ulong Raw)
{
    /// <summary>Bytes on disk, big-endian.</summary>
    public const int Size = sizeof(ulong);

    /// <summary>No block: every refcount it would hold is 0.</summary>
    public static readonly RefcountTableEntry Unallocated = new(0);

    private const ulong ReservedMask = 0x1ff;

    /// <summary>True when there is a block.</summary>
    public bool IsAllocated => (Raw & ~ReservedMask) != 0;

    /// <summary>Bits are set that must not be.</summary>
    public bool HasReservedBits => (Raw & ReservedMask) != 0;

    /// <summary>Where the block starts; 0 when there is none. Negative for an offset of 2^63 or more, which <see cref="Validate"/> finds.</summary>
    public HostOffset Block => new((long)(Raw & ~ReservedMask));

    /// <summary>An entry for a block.</summary>
    public static RefcountTableEntry ForBlock(HostOffset block) => new((ulong)block.Value);

    /// <summary>Whether the block can be located and lies in a file of <paramref name="fileLength"/> bytes.</summary>
    public EntryFault Validate(ClusterGeometry g, long fileLength)
    {
        if (IsAllocated)
        {
            if (!Block.IsAligned(g))
            {
                return EntryFault.Unaligned;
            }

            if (Block.Value < 0 || Block.Value >= fileLength)
            {
                return EntryFault.PastEnd;
            }
        }

        return HasReservedBits ? EntryFault.ReservedBits : EntryFault.None;
    }
}
