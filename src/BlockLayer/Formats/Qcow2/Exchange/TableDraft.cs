using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The next state of an image's tables, built beside the present one. Whatever it writes goes to clusters that the present state does not use, so nothing has
/// changed until one write of the header's sector refers to all of it, and then everything has:
/// </summary>
/// <remarks>
/// <code>
///   header ──► L1 ──► L2 ──► data ◄── L2' ◄── L1' ◄── header'        L2' only where copied flags change
///     '──► refcount table ──► blocks        blocks' ◄── refcount table' ◄──'
/// </code>
/// <para>Refcounts and copied flags have to agree, and no order of writes in place keeps them agreeing through a crash; QEMU's does not either. Exchanged
/// together they always do, and a crash leaves not even a leak.</para>
/// <para>It needs an image that is drained and flushed, with nothing in quarantine. A draft that is dropped needs no undoing. Memory: two counts for each cluster in
/// use; the largest part of the work is to read every L2 table concerned and to write every refcount block.</para>
/// </remarks>
internal sealed partial class TableDraft
{
    private readonly BlockEdge _file;
    private readonly ClusterGeometry _geometry;
    private readonly int _version;
    private readonly CompressionType _compression;
    private readonly MetadataOverlapGuard _guard;
    private readonly StoredRefcounts _stored;
    private readonly ClusterCounts _taken;  // not 0: in use now, or by the draft
    private readonly ClusterCounts _counts; // what the refcounts will be
    private readonly FreeClusterSearch _free;

    private TableDraft(BlockEdge file, Qcow2Header header, ClusterGeometry geometry, MetadataOverlapGuard guard, StoredRefcounts stored)
    {
        _file = file;
        _geometry = geometry;
        _version = header.Version;
        _compression = header.Compression;
        _guard = guard;
        _stored = stored;
        _taken = stored.Counts;
        _counts = stored.Counts.Clone();
        _free = new FreeClusterSearch(_taken);
    }

    /// <summary>Begins with what the refcounts on disk say, once they are known to cover everything that can be followed.</summary>
    /// <exception cref="BlockLayerException">Corrupt: a refcount block cannot be located, or a refcount is lower than what leads to its cluster; Io.</exception>
    internal static async ValueTask<TableDraft> BeginAsync(
        BlockEdge file, Qcow2Header header, ClusterGeometry geometry, MetadataOverlapGuard guard, CancellationToken cancellationToken)
    {
        CountedImage image = await Qcow2Checker.CountAsync(new EdgeMetadataReader(file), header, CountedReferences.Followable, cancellationToken).ConfigureAwait(false);
        if (!image.Stored.IsComplete)
        {
            throw ImageFormatException.Corrupt("refcount table", header.RefcountTableOffset.Value, "A refcount block cannot be located; the image must be repaired first.");
        }

        if (RefcountCoverage.FindGap(image, geometry) is { } gap)
        {
            throw guard.Broken(
                gap.Offset(geometry),
                $"{gap} is referred to {image.References.Counts[gap.Index]} times or more, and its refcount says {image.Stored.Counts[gap.Index]}");
        }

        return new TableDraft(file, header, geometry, guard, image.Stored);
    }

    /// <summary>Byte position behind everything that the draft has written or tried to write.</summary>
    internal long End { get; private set; }

    /// <summary>How often a cluster will be referred to.</summary>
    internal ulong CountOf(HostCluster cluster) => _counts[cluster.Index];

    /// <summary>Writes a new table to clusters of its own, each counted <paramref name="users"/> times. Not durable yet.</summary>
    /// <param name="bytes">The table; zeroes follow up to the end of its last cluster.</param>
    /// <param name="users">How many entries will refer to it.</param>
    internal async ValueTask<HostOffset> WriteTableAsync(ReadOnlyMemory<byte> bytes, ulong users = 1)
    {
        int clusters = (int)Math.Max(1, _geometry.ClustersFor(bytes.Length));
        HostCluster place = Take(clusters, users);
        byte[] whole = new byte[(long)clusters << _geometry.ClusterBits];
        bytes.CopyTo(whole);
        await _file.WriteAsync(place.Offset(_geometry).Value, whole, CancellationToken.None).ConfigureAwait(false);
        return place.Offset(_geometry);
    }

    /// <summary>Notes that a table of the present state is not part of the next.</summary>
    internal void DropTable(HostOffset start, long length)
    {
        HostCluster first = start.Cluster(_geometry);
        for (long i = 0; i < _geometry.ClustersFor(length); i++)
        {
            Change(first.Plus(i), -1);
        }
    }

    /// <summary>Counts everything that an L1 table leads to once more, or once less. What is counted more is counted before what is counted less.</summary>
    /// <param name="l1">The words of the table.</param>
    /// <param name="change">1 or -1.</param>
    /// <param name="cancellationToken">Honoured between tables.</param>
    /// <exception cref="ImageFormatException">Corrupt: an entry that cannot be followed, or a refcount that does not cover it.</exception>
    internal async ValueTask ChangeReferencesAsync(ulong[] l1, int change, CancellationToken cancellationToken)
    {
        foreach ((HostOffset table, int uses) in TablesOf(l1))
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] l2 = await ReadL2Async(table).ConfigureAwait(false);
            long weight = (long)uses * change;
            Change(table.Cluster(_geometry), weight);
            for (int at = 0; at < l2.Length; at += _geometry.L2EntrySize)
            {
                (HostCluster first, int count) = HostClustersOf(EntryAt(l2, at), table.Plus(at));
                for (int i = 0; i < count; i++)
                {
                    Change(first.Plus(i), weight);
                }
            }
        }
    }

    /// <summary>Counts everything that an L1 table leads to in the image's own file once less. Clusters of a data file have no counts.</summary>
    /// <exception cref="ImageFormatException">Corrupt: an entry that cannot be followed, or a refcount that does not cover it.</exception>
    internal async ValueTask DropReferencesAsync(ulong[] l1, CancellationToken cancellationToken)
    {
        if (!_geometry.HasDataFile)
        {
            await ChangeReferencesAsync(l1, change: -1, cancellationToken).ConfigureAwait(false);
            return;
        }

        foreach ((HostOffset table, int uses) in TablesOf(l1))
        {
            Change(table.Cluster(_geometry), -uses);
        }
    }

    /// <summary>
    /// Gives an L1 table copied flags that agree with the counts, which are final by now: its words are changed, and an L2 table whose flags change is replaced by a copy.
    /// </summary>
    /// <remarks>A count that is lower than what is known to lead to a cluster would let the cluster go, or be written in place, while somebody still reads it.</remarks>
    /// <param name="l1">The words of the table.</param>
    /// <param name="users">How many L1 tables will hold these words.</param>
    /// <param name="others">How many L1 tables besides lead to the same clusters, for certain.</param>
    /// <param name="cancellationToken">Honoured between tables.</param>
    /// <exception cref="ImageFormatException">Corrupt: a refcount does not cover what leads to the cluster.</exception>
    internal async ValueTask SettleFlagsAsync(ulong[] l1, int users, int others, CancellationToken cancellationToken)
    {
        var places = new Dictionary<HostOffset, HostOffset>();
        foreach ((HostOffset table, int uses) in TablesOf(l1))
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] l2 = await ReadL2Async(table).ConfigureAwait(false);
            places[table] = table;
            ulong least = (ulong)uses * (ulong)(users + others);
            RequireCounted(table.Cluster(_geometry), least);
            if (SettleFlags(l2, least))
            {
                Change(table.Cluster(_geometry), -(long)uses * users);
                places[table] = await WriteTableAsync(l2, (ulong)uses * (ulong)users).ConfigureAwait(false);
            }
        }

        for (int i = 0; i < l1.Length; i++)
        {
            if (new L1Entry(l1[i]) is { IsAllocated: true } entry)
            {
                HostOffset place = places[entry.L2Table];
                l1[i] = L1Entry.ForTable(place).WithCopied(CountOf(place.Cluster(_geometry)) == 1).Raw;
            }
        }
    }

    /// <summary>The clusters that the present state uses and the next one does not, in runs, in the order they lie in the file.</summary>
    internal IEnumerable<HostRun> FreedRuns()
    {
        long start = 0;
        long end = 0; // of the run that is being found
        foreach (long page in _taken.Pages())
        {
            for (long cluster = page * ClusterCounts.PageLength; cluster < (page + 1) * ClusterCounts.PageLength; cluster++)
            {
                if (_taken[cluster] == 0 || _counts[cluster] != 0)
                {
                    continue;
                }

                if (end > start && (cluster != end || end - start == int.MaxValue))
                {
                    yield return new HostRun(new HostCluster(start), (int)(end - start));
                    start = cluster;
                }

                start = end > start ? start : cluster;
                end = cluster + 1;
            }
        }

        if (end > start)
        {
            yield return new HostRun(new HostCluster(start), (int)(end - start));
        }
    }

    private bool SettleFlags(byte[] l2, ulong least)
    {
        bool changed = false;
        for (int at = 0; at < l2.Length; at += _geometry.L2EntrySize)
        {
            L2Entry entry = EntryAt(l2, at);
            RequireCounted(entry, least);
            bool hasCluster = !entry.IsCompressed && entry.HostOffset.Value != 0;
            L2Entry settled = entry.WithCopied(hasCluster && CountOf(entry.HostOffset.Cluster(_geometry)) == 1);
            if (settled != entry)
            {
                BinaryPrimitives.WriteUInt64BigEndian(l2.AsSpan(at), settled.Raw);
                changed = true;
            }
        }

        return changed;
    }

    /// <summary>The L2 tables of an L1 table, each once with how many entries lead to it: a hostile table costs no more than the file it is in.</summary>
    private IEnumerable<(HostOffset Table, int Uses)> TablesOf(ulong[] l1)
    {
        var uses = new Dictionary<HostOffset, int>();
        foreach (L1Entry entry in l1.Select(static word => new L1Entry(word)).Where(static entry => entry.IsAllocated))
        {
            if (entry.Validate(_geometry, _file.Child.Length) is var fault && fault.IsFatal())
            {
                throw fault.ToException("L1 table entry", entry.Raw, entry.L2Table);
            }

            uses[entry.L2Table] = uses.GetValueOrDefault(entry.L2Table) + 1;
        }

        return uses.OrderBy(static pair => pair.Key.Value).Select(static pair => (pair.Key, pair.Value));
    }

    private async ValueTask<byte[]> ReadL2Async(HostOffset table)
    {
        byte[] l2 = new byte[_geometry.ClusterSize];
        await _file.ReadPaddedAsync(table.Value, l2, CancellationToken.None).ConfigureAwait(false);
        return l2;
    }

    private static L2Entry EntryAt(byte[] l2, int at) => new(BinaryPrimitives.ReadUInt64BigEndian(l2.AsSpan(at)));

    /// <summary>The host clusters that an entry refers to: none, one, or those that a compressed stream touches.</summary>
    private (HostCluster First, int Count) HostClustersOf(L2Entry entry, HostOffset at)
    {
        if (entry.Raw == 0)
        {
            return default;
        }

        if (FaultOf(entry) is var fault && fault.IsFatal())
        {
            throw fault.ToException("L2 table entry", entry.Raw, at);
        }

        return HostClustersOf(entry);
    }

    private EntryFault FaultOf(L2Entry entry) => entry.Validate(_geometry, _version, _file.Child.Length);

    private (HostCluster First, int Count) HostClustersOf(L2Entry entry)
    {
        if (entry.IsCompressed)
        {
            CompressedDescriptor stream = entry.Compressed(_geometry);
            HostCluster first = stream.FirstCluster(_geometry);
            return (first, (int)(stream.LastCluster(_geometry).Index - first.Index) + 1);
        }

        return entry.HostOffset.Value == 0 ? default : (entry.HostOffset.Cluster(_geometry), 1);
    }

    /// <summary>An entry that cannot be followed needs nothing: nobody reads what it leads to.</summary>
    private void RequireCounted(L2Entry entry, ulong least)
    {
        if (entry.Raw == 0 || FaultOf(entry).IsFatal())
        {
            return;
        }

        (HostCluster first, int count) = HostClustersOf(entry);
        for (int i = 0; i < count; i++)
        {
            RequireCounted(first.Plus(i), least);
        }
    }

    private void RequireCounted(HostCluster cluster, ulong least)
    {
        if (CountOf(cluster) < least)
        {
            throw _guard.Broken(cluster.Offset(_geometry), $"{cluster} would be referred to {least} times or more, and its refcount would say {CountOf(cluster)}");
        }
    }

    private void Change(HostCluster cluster, long change)
    {
        ulong count = _counts[cluster.Index];
        if (_taken[cluster.Index] == 0 || (change < 0 && count < (ulong)-change))
        {
            throw _guard.Broken(cluster.Offset(_geometry), $"{cluster} is referred to more often than its refcount {count} says");
        }

        _counts[cluster.Index] = change < 0 ? count - (ulong)-change : checked(count + (ulong)change);
    }

    /// <summary>Takes contiguous clusters that are free in both states.</summary>
    private HostCluster Take(int count, ulong users)
    {
        HostCluster first = _free.Find(count);
        End = Math.Max(End, first.Plus(count).Offset(_geometry).Value);
        for (int i = 0; i < count; i++)
        {
            _guard.ThrowIfMetadata(first.Plus(i), "The search for free clusters");
            _taken[first.Index + i] = 1;
            _counts[first.Index + i] = users;
        }

        return first;
    }
}
