using System.Diagnostics;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The sizes that follow from cluster_bits, refcount_order and the width of an L2 entry. Constant for the life of an open image.</summary>
internal sealed class ClusterGeometry
{
    /// <summary>Makes the geometry of a validated header.</summary>
    public ClusterGeometry(int clusterBits, int refcountOrder, L2EntryFormat l2EntryFormat)
    {
        Debug.Assert(clusterBits is >= Qcow2Limits.MinClusterBits and <= Qcow2Limits.MaxClusterBits, "the header was validated");
        Debug.Assert(refcountOrder is >= 0 and <= Qcow2Limits.MaxRefcountOrder, "the header was validated");
        ClusterBits = clusterBits;
        RefcountOrder = refcountOrder;
        L2EntryFormat = l2EntryFormat;
        L2EntrySize = l2EntryFormat == L2EntryFormat.Extended ? ExtendedL2Entry.Size : L2Entry.Size;
        L2Bits = clusterBits - (l2EntryFormat == L2EntryFormat.Extended ? 4 : 3);
        RefcountBlockBits = clusterBits + 3 - refcountOrder;
        SubclusterBits = clusterBits - (l2EntryFormat == L2EntryFormat.Extended ? 5 : 0); // qcow2 spec, "Extended L2 Entries": 32 of them
    }

    /// <summary>log2 of the cluster size in bytes.</summary>
    public int ClusterBits { get; }

    /// <summary>Bytes in a cluster.</summary>
    public int ClusterSize => 1 << ClusterBits;

    /// <summary>The bits of an offset that point inside a cluster.</summary>
    public long ClusterMask => ClusterSize - 1L;

    /// <summary>Standard or extended L2 entries.</summary>
    public L2EntryFormat L2EntryFormat { get; }

    /// <summary>Bytes in an L2 entry: 8, or 16 for extended ones.</summary>
    public int L2EntrySize { get; }

    /// <summary>Guest clusters lie in a data file, each at its guest offset, and have no refcounts.</summary>
    public bool HasDataFile { get; init; }

    /// <summary>log2 of the entries in an L2 table, which is one cluster.</summary>
    public int L2Bits { get; }

    /// <summary>Entries in an L2 table.</summary>
    public int L2Entries => 1 << L2Bits;

    /// <summary>log2 of the width of a refcount in bits.</summary>
    public int RefcountOrder { get; }

    /// <summary>Width of a refcount in bits.</summary>
    public int RefcountBits => 1 << RefcountOrder;

    /// <summary>The largest refcount that can be stored.</summary>
    public ulong MaxRefcount => RefcountOrder == 6 ? ulong.MaxValue : (1UL << RefcountBits) - 1;

    /// <summary>log2 of the refcounts in a refcount block, which is one cluster.</summary>
    public int RefcountBlockBits { get; }

    /// <summary>Refcounts in a refcount block.</summary>
    public int RefcountBlockEntries => 1 << RefcountBlockBits;

    /// <summary>log2 of the size of a subcluster; a whole cluster where entries are standard.</summary>
    public int SubclusterBits { get; }

    /// <summary>Bytes in a subcluster; the cluster size where entries are standard.</summary>
    public int SubclusterSize => 1 << SubclusterBits;

    /// <summary>Guest bytes that one L2 table maps.</summary>
    public long L2TableReach => 1L << (L2Bits + ClusterBits);

    /// <summary>Clusters that <paramref name="bytes"/> occupy, the last one perhaps in part.</summary>
    public long ClustersFor(long bytes) => Alignment.DivideRoundUp(bytes, ClusterSize);

    /// <summary>L1 entries needed to map a virtual disk of <paramref name="virtualSize"/> bytes.</summary>
    public long L1EntriesFor(long virtualSize) => Alignment.DivideRoundUp(virtualSize, L2TableReach);
}
