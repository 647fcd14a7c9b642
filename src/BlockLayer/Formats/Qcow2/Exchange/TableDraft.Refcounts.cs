using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

// The last step: a complete set of refcounts, itself included.
internal sealed partial class TableDraft
{
    /// <summary>
    /// Writes a refcount table and its blocks, which replace the present ones whole. Not durable yet; the header's reference to them comes next.
    /// </summary>
    /// <param name="geometry">The image's, perhaps with another width of refcounts.</param>
    /// <exception cref="BlockLayerException">Unsupported: a count does not fit the width; NoSpace: the table would exceed its largest size; Io.</exception>
    internal async ValueTask<WordTable> WriteRefcountsAsync(ClusterGeometry geometry)
    {
        DropPresentRefcounts();
        (SortedDictionary<int, HostCluster> blocks, HostRun table) = PlaceRefcounts(geometry);
        ulong[] words = new ulong[(long)table.Count * geometry.ClusterSize / RefcountTableEntry.Size];
        foreach ((int range, HostCluster place) in blocks)
        {
            words[range] = RefcountTableEntry.ForBlock(place.Offset(geometry)).Raw;
            await _file.WriteAsync(place.Offset(geometry).Value, MakeBlock(geometry, range), CancellationToken.None).ConfigureAwait(false);
        }

        HostOffset start = table.First.Offset(geometry);
        await _file.WriteAsync(start.Value, WordTable.ToBytes(words), CancellationToken.None).ConfigureAwait(false);
        return new WordTable(start, words);
    }

    private void DropPresentRefcounts()
    {
        foreach (RefcountTableEntry entry in _stored.Table.Where(static entry => entry.IsAllocated))
        {
            Change(entry.Block.Cluster(_geometry), -1);
        }

        DropTable(_stored.Start, (long)_stored.Table.Length * RefcountTableEntry.Size);
    }

    /// <summary>Takes room for blocks and table until everything is counted, the room itself included.</summary>
    private (SortedDictionary<int, HostCluster> Blocks, HostRun Table) PlaceRefcounts(ClusterGeometry geometry)
    {
        var blocks = new SortedDictionary<int, HostCluster>();
        HostRun? table = null;
        for (bool isStable = false; !isStable;)
        {
            isStable = true;
            foreach (int range in UsedRanges(geometry).Where(range => !blocks.ContainsKey(range)))
            {
                blocks.Add(range, Take(1, users: 1));
                isStable = false;
            }

            long length = (blocks.Keys.Last() + 1L) * RefcountTableEntry.Size;
            if (length > Qcow2Limits.MaxRefcountTableLength)
            {
                throw new BlockLayerException(BlockErrorKind.NoSpace, $"The refcount table would exceed its largest size, {Qcow2Limits.MaxRefcountTableLength} bytes.");
            }

            int clusters = (int)geometry.ClustersFor(length);
            if (table is null || table.Value.Count < clusters)
            {
                if (table is { } tooShort)
                {
                    DropTable(tooShort.First.Offset(geometry), (long)tooShort.Count * geometry.ClusterSize);
                }

                table = new HostRun(Take(clusters, users: 1), clusters);
                isStable = false;
            }
        }

        return (blocks, table!.Value);
    }

    /// <summary>The refcount table entries that need a block, in order.</summary>
    private List<int> UsedRanges(ClusterGeometry geometry)
    {
        var ranges = new List<int>();
        foreach (long page in _counts.Pages())
        {
            ReadOnlySpan<byte> counts = _counts.Page(page);
            for (int i = counts.IndexOfAnyExcept((byte)0); i >= 0 && i < counts.Length;)
            {
                int range = (int)new HostCluster((page * ClusterCounts.PageLength) + i).RefcountTableIndex(geometry);
                if (ranges.Count == 0 || ranges[^1] != range)
                {
                    ranges.Add(range);
                }

                // The rest of the page may belong to other blocks, where blocks are small.
                long next = ((range + 1L) << geometry.RefcountBlockBits) - (page * ClusterCounts.PageLength);
                int found = next < counts.Length ? counts[(int)next..].IndexOfAnyExcept((byte)0) : -1;
                i = found < 0 ? -1 : (int)next + found;
            }
        }

        return ranges;
    }

    private byte[] MakeBlock(ClusterGeometry geometry, int range)
    {
        byte[] bytes = new byte[geometry.ClusterSize];
        var block = new RefcountBlock(bytes, geometry.RefcountOrder);
        long first = (long)range << geometry.RefcountBlockBits;
        int used = (int)Math.Clamp(_counts.End - first, 0, block.Count);
        for (int i = 0; i < used; i++)
        {
            ulong count = _counts[first + i];
            if (count > block.Max)
            {
                throw new BlockLayerException(
                    BlockErrorKind.Unsupported,
                    $"Host cluster {first + i} would be referred to {count} times, and refcounts of {geometry.RefcountBits} bits count to {block.Max}; give the image wider ones first (refcount_bits).");
            }

            if (count != 0)
            {
                block[i] = count;
            }
        }

        return bytes;
    }
}
