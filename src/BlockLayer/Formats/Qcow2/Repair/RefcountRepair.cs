using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Makes stored refcounts what was counted: in the blocks that exist where these can be trusted, else in new ones behind everything, to which one write of the header
/// leads.
/// </summary>
internal sealed class RefcountRepair(BlockEdge file, ClusterGeometry g, HeaderStore header, RepairLog log)
{
    /// <summary>True when the blocks cannot be written where they are: one cannot be located, or something else lies there too.</summary>
    public bool AreBlocksUnsound(CountedImage image)
    {
        HashSet<long> own = TableClusters();
        foreach (RefcountTableEntry entry in image.Stored.Table)
        {
            if (entry.Validate(g, file.Child.Length) != EntryFault.None
                || (entry.IsAllocated && (!own.Add(entry.Block.Cluster(g).Index) || image.References.Counts[entry.Block.Cluster(g).Index] != 0)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>True when only new blocks and a new table help: the blocks are unsound, one is missing, or something else lies where the table is.</summary>
    public bool NeedsRebuild(CountedImage image)
        => AreBlocksUnsound(image)
            || TableClusters().Any(cluster => image.References.Counts[cluster] != 0 || !HasBlock(image, cluster))
            || image.Stored.Table.Any(entry => entry.IsAllocated && !HasBlock(image, entry.Block.Cluster(g).Index))
            || IsBlockMissing(image);

    /// <summary>Writes a new table with new blocks; durable on return, as is the header that leads to them.</summary>
    /// <exception cref="BlockLayerException">NoSpace, Io.</exception>
    public async ValueTask RebuildAsync(CountedImage image)
    {
        WordTable table = await RefcountRebuilder.WriteAsync(file, g, image.References).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await header.UpdateAsync(changed => changed with
        {
            RefcountTableOffset = table.Start,
            RefcountTableClusters = (uint)g.ClustersFor((long)table.Count * RefcountTableEntry.Size),
        }).ConfigureAwait(false);
        log.Add($"The refcount table and its blocks were written anew at byte {table.Start.Value}.");
    }

    /// <summary>Corrects counts in the blocks that exist, all of which can be trusted. Durable on return.</summary>
    /// <param name="image">The counts.</param>
    /// <param name="mode">With <see cref="RepairMode.Leaks"/> counts only go down, and only where the file is: what is behind its end no check looks at.</param>
    public async ValueTask AdjustAsync(CountedImage image, RepairMode mode)
    {
        TableRewriter rewriter = new(file);
        HashSet<long> blocks = [.. image.Stored.Table.Where(static entry => entry.IsAllocated).Select(entry => entry.Block.Cluster(g).Index)];
        long tableFirst = header.Current.RefcountTableOffset.Cluster(g).Index;
        long tableEnd = tableFirst + header.Current.RefcountTableClusters;
        for (int i = 0; i < image.Stored.Table.Length; i++)
        {
            RefcountTableEntry entry = image.Stored.Table[i];
            if (entry.IsAllocated)
            {
                long first = (long)i << g.RefcountBlockBits;
                await rewriter.RewriteAsync(entry.Block, g.ClusterSize, (bytes, at) => Adjust(bytes, FirstIn(entry, first, at)), CancellationToken.None).ConfigureAwait(false);
            }
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);

        long FirstIn(RefcountTableEntry entry, long first, HostOffset at) => first + ((at.Value - entry.Block.Value) * 8 >> g.RefcountOrder);

        bool Adjust(Span<byte> bytes, long first)
        {
            long before = log.Count;
            RefcountBlock counts = new(bytes, g.RefcountOrder);
            for (int i = 0; i < counts.Count; i++)
            {
                long cluster = first + i;
                bool isOwn = (cluster >= tableFirst && cluster < tableEnd) || blocks.Contains(cluster);
                ulong wanted = isOwn ? 1 : image.References.Counts[cluster];
                ulong found = counts[i];
                if (found != wanted && (mode == RepairMode.All || (found > wanted && cluster < image.References.End)))
                {
                    counts[i] = wanted;
                    if (log.Note())
                    {
                        log.Say($"The refcount of cluster {cluster} was {found} and is {wanted}.");
                    }
                }
            }

            return log.Count > before;
        }
    }

    private HashSet<long> TableClusters()
    {
        long first = header.Current.RefcountTableOffset.Cluster(g).Index;
        return [.. Enumerable.Range(0, (int)header.Current.RefcountTableClusters).Select(i => first + i)];
    }

    private bool IsBlockMissing(CountedImage image)
    {
        ClusterCounts references = image.References.Counts;
        foreach (long number in references.Pages())
        {
            long first = number * ClusterCounts.PageLength;
            ReadOnlySpan<byte> page = references.Page(number);
            for (int i = page.IndexOfAnyExcept((byte)0); i >= 0 && i < page.Length; i++)
            {
                if (page[i] != 0 && !HasBlock(image, first + i))
                {
                    return true;
                }
            }
        }

        return false;
    }

    private bool HasBlock(CountedImage image, long cluster)
        => new HostCluster(cluster).RefcountTableIndex(g) is var index && index < image.Stored.Table.Length && image.Stored.Table[index].IsAllocated;
}
