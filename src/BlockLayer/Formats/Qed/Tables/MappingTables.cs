using System.Collections;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Which guest cluster lies where: the L1 table and the L2 slices in memory, and how they get there. Owns the mapping lock.
/// </summary>
/// <remarks>
/// Invariants: (1) lookups take no lock; (2) entries, dirtiness, pins and the cache change under <see cref="Lock"/>, which is never held across I/O;
/// (3) a slice is read from disk by one caller at a time, everybody else waits for that one; (4) an offset that cannot be followed fails the
/// requests that need it, and only those.
/// </remarks>
internal sealed class MappingTables
{
    private readonly BlockEdge _file;
    private readonly ImageExtent _extent;
    private readonly L1Table _l1;
    private readonly SliceCache _slices;
    private readonly Dictionary<long, Completion> _loads = []; // guarded by Lock

    private MappingTables(BlockEdge file, QedGeometry geometry, ImageExtent extent, L1Table l1, int cacheLength)
    {
        _file = file;
        Geometry = geometry;
        _extent = extent;
        _l1 = l1;
        _slices = new SliceCache(cacheLength / geometry.SliceLength);
    }

    /// <summary>The mapping lock.</summary>
    internal Lock Lock { get; } = new();

    internal QedGeometry Geometry { get; }

    internal SliceCache Slices => _slices;

    internal L1Table L1 => _l1;

    /// <summary>Reads the L1 table.</summary>
    internal static async ValueTask<MappingTables> LoadAsync(BlockEdge file, QedHeader header, int cacheLength, CancellationToken cancellationToken)
    {
        var extent = new ImageExtent(header, file.Child.Length);
        L1Table l1 = await L1Table.LoadAsync(file, header, (long)header.ImageSize, extent, cancellationToken).ConfigureAwait(false);
        return new MappingTables(file, header.Geometry, extent, l1, cacheLength);
    }

    /// <summary>Reads what a disk of <paramref name="imageSize"/> bytes needs of the L1 table as well. The caller has drained the image.</summary>
    internal ValueTask ExtendAsync(long imageSize, CancellationToken cancellationToken) => _l1.ExtendAsync(_file, imageSize, _extent, cancellationToken);

    /// <summary>Looks in memory alone.</summary>
    /// <param name="offset">Guest offset in bytes.</param>
    /// <param name="length">How many bytes are of interest, at least 1.</param>
    /// <param name="mapping">The run that starts there; it ends with its slice at the latest.</param>
    /// <returns>False when a table has to be read first, or cannot be followed.</returns>
    internal bool TryLookup(long offset, long length, out ClusterMapping mapping)
    {
        GuestCluster cluster = GuestCluster.At(offset, Geometry);
        if (_slices.TryGet(cluster.SliceIndex(Geometry), out L2Slice? slice))
        {
            return TryFindRun(slice, cluster, offset, length, out mapping);
        }

        int l1Index = cluster.L1Index(Geometry);
        if (_l1[l1Index].Value == 0)
        {
            long inTable = offset & (Geometry.TableReach - 1);
            mapping = new ClusterMapping(ClusterKind.Unallocated, default, Math.Min(length, Geometry.TableReach - inTable));
            return true;
        }

        mapping = default;
        return false;
    }

    /// <summary>As <see cref="TryLookup"/>, reading tables as needed.</summary>
    /// <exception cref="BlockLayerException">Io; Corrupt: the offset on disk cannot be followed.</exception>
    internal async ValueTask<ClusterMapping> LookupAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (TryLookup(offset, length, out ClusterMapping mapping))
        {
            return mapping;
        }

        GuestCluster cluster = GuestCluster.At(offset, Geometry);
        L2Slice slice = await LoadAsync(cluster, cancellationToken).ConfigureAwait(false);
        return TryFindRun(slice, cluster, offset, length, out mapping) ? mapping : throw BadEntry(slice, cluster);
    }

    /// <summary>The slice that maps <paramref name="cluster"/>, read if it is not in memory. Its table exists.</summary>
    /// <exception cref="BlockLayerException">Io; Corrupt: the L1 entry cannot be followed.</exception>
    internal async ValueTask<L2Slice> LoadAsync(GuestCluster cluster, CancellationToken cancellationToken)
    {
        long index = cluster.SliceIndex(Geometry);
        while (true)
        {
            Completion load;
            bool mine;
            lock (Lock)
            {
                if (_slices.TryGet(index, out L2Slice? slice))
                {
                    return slice;
                }

                mine = !_loads.TryGetValue(index, out load!);
                if (mine)
                {
                    load = new Completion();
                    _loads.Add(index, load);
                }
            }

            if (mine)
            {
                return await ReadSliceAsync(cluster, load).ConfigureAwait(false);
            }

            await load.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The error of a request that needs an entry which cannot be followed.</summary>
    internal ImageFormatException BadEntry(L2Slice slice, GuestCluster cluster)
    {
        int index = cluster.IndexInSlice(Geometry);
        ulong raw = slice[index].Raw;
        long at = slice.Location.Value + (index * L2Entry.Size);
        return BadOffset("L2 entry", at, raw, _extent.JudgeCluster(raw));
    }

    // Others may wait for this read, so it does not run under the token of the caller that came first.
    private async ValueTask<L2Slice> ReadSliceAsync(GuestCluster cluster, Completion load)
    {
        long index = cluster.SliceIndex(Geometry);
        L2Slice slice;
        try
        {
            int l1Index = cluster.L1Index(Geometry);
            HostOffset table = _l1[l1Index];
            if (_l1.IsBad(l1Index))
            {
                ulong raw = (ulong)table.Value;
                throw BadOffset("L1 entry", _l1.EntryOffset(l1Index), raw, _extent.JudgeTable(raw));
            }

            HostOffset location = table.Plus(Geometry.SliceOffsetInTable(cluster));
            ulong[] entries = new ulong[Geometry.SliceEntries];
            using (PooledBuffer bytes = _file.Parent.Environment.Buffers.Rent(Geometry.SliceLength))
            {
                await _file.ReadAsync(location.Value, bytes.Memory, CancellationToken.None).ConfigureAwait(false);
                TableSector.Decode(bytes.Span, entries);
            }

            lock (Lock)
            {
                _loads.Remove(index);
                slice = _slices.AddLocked(index, location, entries, Judge);
            }
        }
        catch (Exception error)
        {
            lock (Lock)
            {
                _loads.Remove(index);
            }

            load.Fail(error);
            throw;
        }

        load.Complete();
        return slice;
    }

    private BitArray? Judge(ulong[] entries)
    {
        BitArray? bad = null;
        for (int i = 0; i < entries.Length;)
        {
            if (new L2Entry(entries[i]).Kind != ClusterKind.Data)
            {
                i++;
                continue;
            }

            int end = i + TableSector.CountContiguous(entries.AsSpan(i), Geometry.ClusterSize);
            bool sound = _extent.AreClustersSound(entries[i], end - i);
            for (; i < end; i++)
            {
                if (!sound && _extent.JudgeCluster(entries[i]) != OffsetFault.None)
                {
                    bad ??= new BitArray(entries.Length);
                    bad[i] = true;
                }
            }
        }

        return bad;
    }

    private bool TryFindRun(L2Slice slice, GuestCluster cluster, long offset, long length, out ClusterMapping mapping)
    {
        long inCluster = offset & (Geometry.ClusterSize - 1);
        int limit = (int)Math.Min(((inCluster + length - 1) >> Geometry.ClusterBits) + 1, Geometry.SliceEntries);
        int count = slice.FindRun(cluster.IndexInSlice(Geometry), limit, Geometry.ClusterBits, out L2Entry entry);
        if (count == 0)
        {
            mapping = default;
            return false;
        }

        HostOffset host = entry.Kind == ClusterKind.Data ? entry.Host.Plus(inCluster) : default;
        mapping = new ClusterMapping(entry.Kind, host, Math.Min(length, ((long)count << Geometry.ClusterBits) - inCluster));
        return true;
    }

    private ImageFormatException BadOffset(string field, long at, ulong raw, OffsetFault fault)
    {
        string why = fault == OffsetFault.None ? "is used by another entry too" : _extent.Describe(fault);
        return ImageFormatException.Corrupt(field, at, $"{field} at byte {at} holds 0x{raw:x}, which {why}.");
    }
}
