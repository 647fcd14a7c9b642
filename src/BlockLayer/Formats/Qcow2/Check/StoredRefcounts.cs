using System.Buffers.Binary;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The refcounts as the image's refcount blocks say them.</summary>
internal sealed class StoredRefcounts
{
    private readonly ClusterGeometry _g;
    private readonly HashSet<long> _unreadable = [];

    private StoredRefcounts(ClusterGeometry g, HostOffset start, RefcountTableEntry[] table)
    {
        _g = g;
        Start = start;
        Table = table;
    }

    /// <summary>Where the refcount table starts.</summary>
    public HostOffset Start { get; }

    /// <summary>The refcount table.</summary>
    public RefcountTableEntry[] Table { get; }

    /// <summary>The counts.</summary>
    public ClusterCounts Counts { get; } = new();

    /// <summary>False where some refcount block cannot be located.</summary>
    public bool IsComplete => _unreadable.Count == 0;

    /// <summary>The entries of the table whose blocks cannot be located.</summary>
    public IReadOnlyCollection<long> UnreadableBlocks => _unreadable;

    /// <summary>False where the refcount block of a cluster cannot be located.</summary>
    public bool IsKnown(HostCluster cluster) => IsComplete || !_unreadable.Contains(cluster.RefcountTableIndex(_g));

    /// <summary>
    /// Reads the refcount table and its blocks: every block that counts clusters of the file, and every other block once. So what is read and kept is
    /// bounded by the file's length, whatever the table says. Counts of clusters that no offset can name are nobody's and are left out.
    /// </summary>
    public static async ValueTask<StoredRefcounts> LoadAsync(IMetadataReader file, Qcow2Header header, ClusterGeometry g, CancellationToken cancellationToken)
    {
        byte[] raw = new byte[(long)header.RefcountTableClusters * g.ClusterSize];
        await file.ReadPaddedAsync(header.RefcountTableOffset.Value, raw, cancellationToken).ConfigureAwait(false);
        var table = new RefcountTableEntry[raw.Length / RefcountTableEntry.Size];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = new RefcountTableEntry(BinaryPrimitives.ReadUInt64BigEndian(raw.AsSpan(i * RefcountTableEntry.Size)));
        }

        StoredRefcounts stored = new(g, header.RefcountTableOffset, table);
        long blocksOfFile = (g.ClustersFor(file.Length) >> g.RefcountBlockBits) + 1;
        long nameable = 1L << (Qcow2Limits.HostOffsetBits - g.ClusterBits);
        HashSet<long> seen = [];
        byte[] block = new byte[g.ClusterSize];
        for (int i = 0; i < table.Length; i++)
        {
            HostOffset offset = table[i].Block;
            if (!offset.IsAligned(g) || offset.Value < 0)
            {
                stored._unreadable.Add(i);
            }
            else if (table[i].IsAllocated && offset.Value < file.Length && (long)i << g.RefcountBlockBits < nameable && (seen.Add(offset.Value) || i < blocksOfFile))
            {
                await file.ReadPaddedAsync(offset.Value, block, cancellationToken).ConfigureAwait(false);
                stored.Keep(block, firstCluster: (long)i << g.RefcountBlockBits);
            }
        }

        return stored;
    }

    private void Keep(Span<byte> bytes, long firstCluster)
    {
        RefcountBlock block = new(bytes, _g.RefcountOrder);
        Counts.SetAll(firstCluster, block, block.LastIndexInUse() + 1);
    }
}
