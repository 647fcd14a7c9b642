using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>The sizes that follow from cluster_size and table_size. Constant for the life of an open image.</summary>
/// <remarks>
/// <code>
///   guest offset:  | L1 index : TableBits | L2 index : TableBits | byte : ClusterBits |
///                                         |  slice  | SliceBits  |
/// </code>
/// </remarks>
internal sealed class QedGeometry
{
    /// <summary>Makes the geometry of a validated header.</summary>
    /// <param name="clusterSize">Bytes, a power of two.</param>
    /// <param name="tableSize">Clusters in an L1 or L2 table, a power of two.</param>
    internal QedGeometry(int clusterSize, int tableSize)
    {
        ClusterBits = Alignment.Log2(clusterSize);
        TableSize = tableSize;
        TableBits = ClusterBits + Alignment.Log2(tableSize) - Alignment.Log2(L2Entry.Size);
        SliceBits = Math.Min(TableBits, QedLimits.MaxSliceBits);
    }

    /// <summary>log2 of the cluster size in bytes.</summary>
    internal int ClusterBits { get; }

    /// <summary>Bytes in a cluster.</summary>
    internal int ClusterSize => 1 << ClusterBits;

    /// <summary>Clusters in a table.</summary>
    internal int TableSize { get; }

    /// <summary>Bytes in a table.</summary>
    internal long TableLength => (long)TableSize << ClusterBits;

    /// <summary>log2 of the entries in a table.</summary>
    internal int TableBits { get; }

    /// <summary>Entries in a table.</summary>
    internal int TableEntries => 1 << TableBits;

    /// <summary>log2 of the entries in a slice of an L2 table.</summary>
    internal int SliceBits { get; }

    /// <summary>Entries in a slice of an L2 table.</summary>
    internal int SliceEntries => 1 << SliceBits;

    /// <summary>Bytes in a slice of an L2 table.</summary>
    internal int SliceLength => SliceEntries * L2Entry.Size;

    /// <summary>Guest bytes that one L2 table maps.</summary>
    internal long TableReach => 1L << (TableBits + ClusterBits);

    /// <summary>The largest image_size that a full L1 table maps, no more than 2^63-512.</summary>
    internal long MaxImageSize
    {
        get
        {
            int bits = (2 * TableBits) + ClusterBits;
            return bits >= 63 ? long.MaxValue & -QedLimits.SectorSize : 1L << bits;
        }
    }

    /// <summary>L1 entries that a disk of <paramref name="imageSize"/> bytes uses.</summary>
    internal int L1EntriesFor(long imageSize) => (int)Alignment.DivideRoundUp(imageSize, TableReach);

    /// <summary>Where in its table, in bytes, the slice lies that maps <paramref name="cluster"/>.</summary>
    internal long SliceOffsetInTable(GuestCluster cluster)
        => Alignment.RoundDown(cluster.Index & (TableEntries - 1), SliceEntries) * L2Entry.Size;
}
