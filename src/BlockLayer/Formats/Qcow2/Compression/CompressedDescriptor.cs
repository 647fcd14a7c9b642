using System.Diagnostics;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Where the stream of a compressed cluster lies. qcow2 spec, "Compressed Clusters Descriptor": with x = 62 - (cluster_bits - 8), bits 0 to x-1 are
/// the host offset and bits x to 61 the number of 512-byte sectors beyond the one the offset is in.
/// </summary>
/// <param name="Offset">First byte of the stream; usually not aligned to anything.</param>
/// <param name="Length">Bytes from there to the end of the last sector. The stream may end earlier, and another one may start behind it.</param>
internal readonly record struct CompressedDescriptor(HostOffset Offset, int Length)
{
    /// <summary>First byte after the last sector; a multiple of 512.</summary>
    public HostOffset End => new(Offset.Value + Length);

    /// <summary>The first host cluster the sectors touch.</summary>
    public HostCluster FirstCluster(ClusterGeometry g) => Offset.Cluster(g);

    /// <summary>The last host cluster the sectors touch: the first, or the one behind it.</summary>
    public HostCluster LastCluster(ClusterGeometry g) => new HostOffset(End.Value - 1).Cluster(g);

    /// <summary>Reads the low 62 bits of an L2 entry.</summary>
    public static CompressedDescriptor Parse(ulong bits, ClusterGeometry g)
    {
        int offsetBits = OffsetBits(g);
        long offset = (long)(bits & ((1UL << offsetBits) - 1));
        int extraSectors = (int)(bits >> offsetBits);
        return new(new HostOffset(offset), (extraSectors + 1) * Qcow2Limits.SectorLength - (int)(offset & (Qcow2Limits.SectorLength - 1)));
    }

    /// <summary>The descriptor of a stream of <paramref name="streamLength"/> bytes that starts at <paramref name="offset"/>.</summary>
    /// <exception cref="Errors.BlockLayerException">NoSpace: the offset is beyond what a descriptor of this cluster size can hold.</exception>
    public static CompressedDescriptor ForStream(HostOffset offset, int streamLength, ClusterGeometry g)
    {
        Debug.Assert(streamLength > 0 && streamLength <= g.ClusterSize, "a stream that does not save room is not stored");
        if (offset.Value >= MaxOffset(g))
        {
            throw new Errors.BlockLayerException(
                Errors.BlockErrorKind.NoSpace,
                $"A compressed cluster cannot start at byte {offset.Value}: with clusters of {g.ClusterSize} bytes the limit is {MaxOffset(g)}.");
        }

        long lastSector = (offset.Value + streamLength - 1) / Qcow2Limits.SectorLength;
        return new(offset, (int)((lastSector + 1) * Qcow2Limits.SectorLength - offset.Value));
    }

    /// <summary>The low 62 bits of an L2 entry.</summary>
    public ulong ToBits(ClusterGeometry g)
    {
        Debug.Assert(Offset.Value >= 0 && Offset.Value < MaxOffset(g), "checked when the descriptor was made");
        long extraSectors = (End.Value - 1) / Qcow2Limits.SectorLength - Offset.Value / Qcow2Limits.SectorLength;
        return (ulong)Offset.Value | (ulong)extraSectors << OffsetBits(g);
    }

    /// <summary>
    /// Whether the stream starts in a file of <paramref name="fileLength"/> bytes. Its last sector may lie past the end: the file then ends inside that
    /// sector, behind the stream.
    /// </summary>
    public EntryFault Validate(ClusterGeometry g, long fileLength)
    {
        if (Offset.Value >= fileLength)
        {
            return EntryFault.PastEnd;
        }

        return Offset.Value < g.ClusterSize ? EntryFault.InHeader : EntryFault.None;
    }

    /// <summary>First offset that does not fit. qcow2 spec: a field that is wider than 56 bits has its upper bits zero.</summary>
    private static long MaxOffset(ClusterGeometry g) => 1L << Math.Min(OffsetBits(g), Qcow2Limits.HostOffsetBits);

    private static int OffsetBits(ClusterGeometry g) => 62 - (g.ClusterBits - 8);
}
