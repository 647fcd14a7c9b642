using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// How often every cluster of the file is referred to: the refcount table whole in memory, and the parts of refcount blocks that are in use. Everything
/// here happens under the allocation lock.
/// </summary>
/// <remarks>
/// A block that does not exist yet is made on demand and is stored in the first cluster of the range it describes, so making it needs no other block
/// (qcow2 spec, "Host cluster management": a missing block means that all counts it would hold are 0).
/// <code>
///   table[k] -> block k -> counts of clusters k*n .. k*n+n-1        new block k: stored in cluster k*n, which it counts itself
/// </code>
/// </remarks>
internal sealed class RefcountTable : IDirtyTable
{
    private const int MaxCleanPages = 2048; // 8 MiB of counts: 256 GiB of file at 64 KiB clusters and 16 bits

    private readonly BlockEdge _file;
    private readonly ClusterGeometry _geometry;
    private readonly MetadataOverlapGuard _guard;
    private readonly int _pageLength;
    private readonly int _pageBits;
    private readonly Dictionary<long, RefcountPage> _pages = [];
    private readonly Queue<long> _loaded = new(); // pages in the order they were loaded, for eviction
    private readonly Dictionary<long, RefcountPage> _dirty = []; // by page number

    /// <summary>Counts of an image whose table is <paramref name="table"/>.</summary>
    internal RefcountTable(BlockEdge file, ClusterGeometry geometry, WordTable table, MetadataOverlapGuard guard)
    {
        _file = file;
        _geometry = geometry;
        _guard = guard;
        _pageLength = Math.Min(geometry.ClusterSize, RefcountPage.MaxLength);
        _pageBits = Alignment.Log2(_pageLength) + 3 - geometry.RefcountOrder;
        Table = table;
    }

    /// <summary>The table of blocks.</summary>
    internal WordTable Table { get; private set; }

    /// <summary>The cluster behind the last one that the table has room for.</summary>
    internal HostCluster Reach => new((long)Table.Count << _geometry.RefcountBlockBits);

    /// <summary>Number of pages with changes that are not on disk.</summary>
    internal int DirtyCount => _dirty.Count;

    /// <summary>How often a cluster is referred to.</summary>
    /// <exception cref="BlockLayerException">Corrupt: the block cannot be located; Io.</exception>
    internal async ValueTask<ulong> GetAsync(HostCluster cluster)
        => cluster.Index < Reach.Index && await LoadPageAsync(cluster).ConfigureAwait(false) is { } page ? page[cluster] : 0;

    /// <summary>
    /// The cluster behind the last one below <paramref name="end"/> that is counted. What no block counts is passed over block by block, so the work is that of the blocks
    /// there are behind the answer, and does not grow with the file.
    /// </summary>
    /// <exception cref="BlockLayerException">Corrupt: a block cannot be located; Io.</exception>
    internal async ValueTask<HostCluster> EndOfUseAsync(HostCluster end)
    {
        HostCluster at = end.Index < Reach.Index ? end : Reach;
        while (at.Index > 0)
        {
            HostCluster last = at.Plus(-1);
            RefcountPage? page = await LoadPageAsync(last).ConfigureAwait(false);
            if (page?.FindLastInUse(last) is { } used)
            {
                return used.Plus(1);
            }

            at = page?.First ?? new HostCluster(last.RefcountTableIndex(_geometry) << _geometry.RefcountBlockBits);
        }

        return at;
    }

    /// <summary>True when no entry from this one on has a block.</summary>
    internal bool IsEmptyFrom(int index)
    {
        while (index < Table.Count && Table[index] == 0)
        {
            index++;
        }

        return index == Table.Count;
    }

    /// <summary>How often a cluster is referred to, if that is known without I/O.</summary>
    internal ulong? TryGetLoaded(HostCluster cluster)
        => _pages.TryGetValue(cluster.Index >> _pageBits, out RefcountPage? page) ? page[cluster] : null;

    /// <summary>Changes the count of a cluster of a loaded page.</summary>
    internal void Set(RefcountPage page, HostCluster cluster, ulong count)
    {
        page[cluster] = count;
        _dirty[NumberOf(page)] = page;
    }

    /// <summary>Notes one reference less.</summary>
    /// <returns>The references that are left.</returns>
    /// <exception cref="BlockLayerException">Corrupt: there was none.</exception>
    internal async ValueTask<ulong> DecrementAsync(HostCluster cluster)
    {
        RefcountPage? page = cluster.Index < Reach.Index ? await LoadPageAsync(cluster).ConfigureAwait(false) : null;
        ulong count = page is null ? 0 : page[cluster];
        if (count == 0)
        {
            throw _guard.Broken(cluster.Offset(_geometry), $"The refcount of {cluster}, which was in use, is 0");
        }

        Set(page!, cluster, count - 1);
        return count - 1;
    }

    /// <summary>The part of a block that counts a cluster; null when there is no block.</summary>
    internal async ValueTask<RefcountPage?> LoadPageAsync(HostCluster cluster)
    {
        long number = cluster.Index >> _pageBits;
        if (_pages.TryGetValue(number, out RefcountPage? page))
        {
            page.IsReferenced = true;
            return page;
        }

        int index = (int)cluster.RefcountTableIndex(_geometry);
        var entry = new RefcountTableEntry(Table[index]);
        EntryFault fault = entry.Validate(_geometry, _file.Child.Length);
        if (fault.IsFatal())
        {
            throw fault.ToException("refcount table entry", entry.Raw, Table.PositionOf(index));
        }

        if (!entry.IsAllocated)
        {
            return null;
        }

        byte[] bytes = new byte[_pageLength];
        var first = new HostCluster(number << _pageBits);
        HostOffset position = PositionOf(entry.Block, first);
        await _file.ReadPaddedAsync(position.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        return Insert(new RefcountPage(first, position, bytes, _geometry.RefcountOrder));
    }

    /// <summary>Makes the block that counts a cluster, for which the table has room but no entry.</summary>
    /// <exception cref="BlockLayerException">Corrupt: its place holds metadata; NoSpace, Io.</exception>
    internal async ValueTask CreateBlockAsync(HostCluster cluster)
        => await CreateRegionAsync(Table, (int)cluster.RefcountTableIndex(_geometry), clusters: 0).ConfigureAwait(false);

    /// <summary>
    /// Takes contiguous clusters where no block exists yet, and makes the blocks that count them and themselves. The blocks are written, not yet durable.
    /// </summary>
    /// <param name="table">The table that gets the entries.</param>
    /// <param name="index">The first entry; it and those behind it have no block.</param>
    /// <param name="clusters">How many clusters to take.</param>
    /// <returns>The first cluster behind the new blocks; null when the table has no room for the blocks.</returns>
    internal async ValueTask<HostCluster?> CreateRegionAsync(WordTable table, int index, int clusters)
    {
        int perBlock = _geometry.RefcountBlockEntries;
        int blocks = Math.Max(1, (int)Alignment.DivideRoundUp(clusters, perBlock - 1));
        if (blocks > table.Count - index)
        {
            return null;
        }

        var start = new HostCluster((long)index << _geometry.RefcountBlockBits);
        for (long i = 0; i < blocks + clusters; i++)
        {
            _guard.ThrowIfMetadata(start.Plus(i), "A refcount table entry without a block");
        }

        try
        {
            await WriteBlocksAsync(start, blocks, clusters).ConfigureAwait(false);
        }
        catch
        {
            ForgetRegion(start, blocks);
            throw;
        }

        for (int block = 0; block < blocks; block++)
        {
            table[index + block] = RefcountTableEntry.ForBlock(start.Plus(block).Offset(_geometry)).Raw;
        }

        return start.Plus(blocks);
    }

    /// <summary>
    /// Writes a longer copy of the table behind everything that this one reaches, together with the blocks that count it. The caller makes
    /// it durable, then the header's reference to it, and then calls <see cref="ReplaceTable"/>.
    /// </summary>
    /// <exception cref="BlockLayerException">NoSpace: the table has its largest size.</exception>
    internal async ValueTask<WordTable> WriteLongerTableAsync()
    {
        long oldLength = (long)Table.Count * RefcountTableEntry.Size;
        long length = oldLength;
        while (true)
        {
            length = Math.Min(Alignment.RoundUp(length + Math.Max(length / 2, 1), _geometry.ClusterSize), Qcow2Limits.MaxRefcountTableLength);
            if (length <= oldLength)
            {
                throw new BlockLayerException(
                    BlockErrorKind.NoSpace, $"The refcount table has its largest size, {Qcow2Limits.MaxRefcountTableLength} bytes, and every cluster it reaches is in use.");
            }

            int clusters = (int)_geometry.ClustersFor(length);
            var draft = new WordTable(default, Table.CopyTo((int)(length / RefcountTableEntry.Size)));
            if (await CreateRegionAsync(draft, Table.Count, clusters).ConfigureAwait(false) is not { } place)
            {
                oldLength = length; // too short for the blocks of its own region
                continue;
            }

            ulong[] words = draft.CopyTo(draft.Count);
            HostOffset start = place.Offset(_geometry);
            _guard.Add(start, length, MetadataKind.RefcountTable);
            try
            {
                await _file.WriteAsync(start.Value, WordTable.ToBytes(words), CancellationToken.None).ConfigureAwait(false);
            }
            catch
            {
                ForgetLongerTable(start);
                throw;
            }

            return new WordTable(start, words);
        }
    }

    /// <summary>Undoes <see cref="WriteLongerTableAsync"/> when the header was not changed: the clusters lie where this table does not reach, so nobody can have them.</summary>
    internal void ForgetLongerTable(HostOffset start)
    {
        _guard.RemoveTable(start);
        ForgetRegion(Reach, (int)(start.Cluster(_geometry).Index - Reach.Index));
    }

    /// <summary>Takes a longer table, already durable, whose new blocks are durable too.</summary>
    internal void ReplaceTable(WordTable table) => Table = table;

    /// <summary>Copies every dirty page.</summary>
    internal void Capture(List<TableWrite> writes)
    {
        foreach ((long number, RefcountPage page) in _dirty)
        {
            writes.Add(new TableWrite(page.Position, page.ToBytes(), this, number, page.Version));
        }
    }

    /// <inheritdoc/>
    public void Written(long key, long version)
    {
        RefcountPage page = _dirty[key];
        page.MarkWritten(version);
        if (!page.IsDirty)
        {
            _dirty.Remove(key);
        }
    }

    private long NumberOf(RefcountPage page) => page.First.Index >> _pageBits;

    private async ValueTask WriteBlocksAsync(HostCluster start, int blocks, int clusters)
    {
        int perBlock = _geometry.RefcountBlockEntries;
        for (int block = 0; block < blocks; block++)
        {
            HostCluster at = start.Plus(block);
            _guard.Add(at, MetadataKind.RefcountBlock);
            byte[] content = new byte[_geometry.ClusterSize];
            int used = (int)Math.Clamp(blocks + clusters - ((long)block * perBlock), 0, perBlock);
            for (int i = 0; i < used; i++)
            {
                new RefcountBlock(content, _geometry.RefcountOrder)[i] = 1;
            }

            await _file.WriteAsync(at.Offset(_geometry).Value, content, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private void ForgetRegion(HostCluster start, int clusters)
    {
        for (int i = 0; i < clusters; i++)
        {
            _guard.Remove(start.Plus(i));
        }
    }

    private HostOffset PositionOf(HostOffset block, HostCluster first)
        => block.Plus(((long)first.RefcountBlockIndex(_geometry) << _geometry.RefcountOrder) / 8);

    private RefcountPage Insert(RefcountPage page)
    {
        long number = NumberOf(page);
        for (int steps = _loaded.Count; steps > 0 && _pages.Count >= MaxCleanPages; steps--)
        {
            long oldest = _loaded.Dequeue();
            RefcountPage candidate = _pages[oldest];
            if (candidate.IsReferenced || candidate.IsDirty)
            {
                candidate.IsReferenced = false;
                _loaded.Enqueue(oldest);
                continue;
            }

            _pages.Remove(oldest);
        }

        _pages.Add(number, page);
        _loaded.Enqueue(number);
        return page;
    }
}
