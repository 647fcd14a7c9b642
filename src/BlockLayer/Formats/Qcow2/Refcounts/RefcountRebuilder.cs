using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Writes a complete set of refcounts behind everything that an image uses, from counted references.</summary>
/// <remarks>
/// <code>
///   everything in use | new block | new block | ... | new table |        blocks only for ranges in which something is used
/// </code>
/// The old table and blocks are counted by nobody, so their clusters are free once the header refers to the new table.
/// </remarks>
internal static class RefcountRebuilder
{
    /// <summary>Writes blocks and table. The caller makes them durable, and then the header's reference to them.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="references">How often each cluster is used, by anything but refcounts.</param>
    /// <exception cref="BlockLayerException">NoSpace: the table would exceed its largest size. Io.</exception>
    internal static async ValueTask<WordTable> WriteAsync(BlockEdge file, ClusterGeometry geometry, ReferenceCounter references)
    {
        var start = new HostCluster(references.End);
        ThrowIfOutOfReach(start, geometry);
        SortedSet<int> ranges = UsedRanges(geometry, references);
        int tableClusters = 0;
        for (int known = -1; known != ranges.Count + tableClusters;)
        {
            known = ranges.Count + tableClusters;
            HostCluster last = start.Plus(ranges.Count + tableClusters);
            ThrowIfOutOfReach(last, geometry);
            for (long range = start.RefcountTableIndex(geometry); range <= last.RefcountTableIndex(geometry); range++)
            {
                ranges.Add((int)range);
            }

            tableClusters = (int)geometry.ClustersFor((ranges.Max + 1L) * RefcountTableEntry.Size);
        }

        var end = start.Plus(ranges.Count + tableClusters);
        ulong[] words = new ulong[tableClusters * (geometry.ClusterSize / RefcountTableEntry.Size)];
        HostCluster at = start;
        foreach (int range in ranges)
        {
            byte[] block = MakeBlock(geometry, references, range, start, end);
            await file.WriteAsync(at.Offset(geometry).Value, block, CancellationToken.None).ConfigureAwait(false);
            words[range] = RefcountTableEntry.ForBlock(at.Offset(geometry)).Raw;
            at = at.Plus(1);
        }

        await file.WriteAsync(at.Offset(geometry).Value, WordTable.ToBytes(words), CancellationToken.None).ConfigureAwait(false);
        return new WordTable(at.Offset(geometry), words);
    }

    /// <exception cref="BlockLayerException">NoSpace: no table counts that far, as in a file that is mostly a hole.</exception>
    private static void ThrowIfOutOfReach(HostCluster last, ClusterGeometry geometry)
    {
        if (last.RefcountTableIndex(geometry) >= Qcow2Limits.MaxRefcountTableLength / RefcountTableEntry.Size)
        {
            throw new BlockLayerException(
                BlockErrorKind.NoSpace,
                $"The refcount table would exceed its largest size, {Qcow2Limits.MaxRefcountTableLength} bytes: it would have to count as far as {last}.");
        }
    }

    private static SortedSet<int> UsedRanges(ClusterGeometry geometry, ReferenceCounter references)
    {
        SortedSet<int> ranges = [];
        foreach (long page in references.Counts.Pages())
        {
            ReadOnlySpan<byte> counts = references.Counts.Page(page);
            for (int i = counts.IndexOfAnyExcept((byte)0); i >= 0 && i < counts.Length; i++)
            {
                if (counts[i] != 0)
                {
                    ranges.Add((int)new HostCluster((page * ClusterCounts.PageLength) + i).RefcountTableIndex(geometry));
                }
            }
        }

        return ranges;
    }

    private static byte[] MakeBlock(ClusterGeometry geometry, ReferenceCounter references, int range, HostCluster newFrom, HostCluster newEnd)
    {
        byte[] block = new byte[geometry.ClusterSize];
        var counts = new RefcountBlock(block, geometry.RefcountOrder);
        long first = (long)range << geometry.RefcountBlockBits;
        for (int i = 0; i < counts.Count; i++)
        {
            long cluster = first + i;
            bool isNew = cluster >= newFrom.Index && cluster < newEnd.Index;
            counts[i] = isNew ? 1 : cluster < references.Counts.End ? references.Counts[cluster] : 0;
        }

        return block;
    }
}
