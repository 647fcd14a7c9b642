namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// One extended entry of an L2 table: a standard word and a word with two bits for each of 32 subclusters. qcow2 spec, "Extended L2 Entries".
/// </summary>
/// <param name="Cluster">The first word. Its zero flag is reserved.</param>
/// <param name="Subclusters">Bits 0-31: subcluster is allocated. Bits 32-63: subcluster reads as zeroes. Unused for a compressed cluster.</param>
internal readonly record struct ExtendedL2Entry(L2Entry Cluster, ulong Subclusters)
{
    /// <summary>Bytes on disk: two big-endian words.</summary>
    public const int Size = 2 * sizeof(ulong);

    /// <summary>Subclusters in a cluster.</summary>
    public const int SubclusterCount = 32;

    /// <summary>One bit for each subcluster that holds data, the first in bit 0.</summary>
    public uint Allocated => (uint)Subclusters;

    /// <summary>One bit for each subcluster that reads as zeroes, the first in bit 0.</summary>
    public uint Zero => (uint)(Subclusters >> SubclusterCount);

    /// <summary>What the entry says of one subcluster.</summary>
    public ClusterKind KindOf(int subcluster)
    {
        if (Cluster.IsCompressed)
        {
            return ClusterKind.Compressed;
        }

        bool hasHostCluster = Cluster.HostOffset.Value != 0;
        if ((Zero >> subcluster & 1) != 0)
        {
            return hasHostCluster ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain;
        }

        return (Allocated >> subcluster & 1) != 0 ? ClusterKind.Data : ClusterKind.Unallocated;
    }

    /// <summary>Whether both words agree and what they point to starts in a file of <paramref name="fileLength"/> bytes.</summary>
    public EntryFault Validate(ClusterGeometry g, int version, long fileLength)
    {
        EntryFault fault = Cluster.Validate(g, version, fileLength);
        if (fault.IsFatal())
        {
            return fault;
        }

        if (Cluster.IsCompressed)
        {
            return Subclusters == 0 ? fault : EntryFault.ReservedBits;
        }

        if ((Allocated & Zero) != 0)
        {
            return EntryFault.SubclusterConflict;
        }

        return Allocated != 0 && Cluster.HostOffset.Value == 0 ? EntryFault.SubclusterWithoutCluster : fault;
    }
}
