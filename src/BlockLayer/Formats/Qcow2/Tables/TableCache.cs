using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The L2 slices in memory: found without a lock through the L1 index, loaded once whoever asks, evicted by a clock hand when there are too many.
/// </summary>
/// <remarks>
/// Invariants: (1) for one part of the disk at most one slice is resident, and while a load of it runs everybody waits for that load; (2) a
/// slice is dropped only when it is clean and not pinned; its memory is left to the garbage collector, so whoever still reads it reads
/// old entries, never foreign ones; (3) a load runs under nobody's token.
/// <code>
///   rows[L1 index] -> slices[part of the table] -> slice
/// </code>
/// </remarks>
internal sealed class TableCache : IDirtyTable
{
    private readonly BlockEdge _file;
    private readonly ClusterGeometry _geometry;
    private readonly int _version;
    private readonly int _sliceBits;
    private readonly int _capacity;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, PendingLoad> _loads = []; // guarded by _gate, by slice number
    private readonly List<L2Slice> _ring = [];                  // guarded by _gate
    private int _hand;                                          // guarded by _gate

    private readonly Dictionary<long, L2Slice> _dirty = [];     // guarded by the allocation lock, by slice number
    private volatile L2Slice?[]?[] _rows;                       // replaced while drained; slots written under _gate

    /// <summary>An empty cache.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="version">2 or 3.</param>
    /// <param name="l1">The active L1 table.</param>
    /// <param name="capacityLength">Bytes of L2 tables to keep. Dirty slices may take more for a while.</param>
    internal TableCache(BlockEdge file, ClusterGeometry geometry, int version, WordTable l1, long capacityLength)
    {
        _file = file;
        _geometry = geometry;
        _version = version;
        _sliceBits = Math.Min(geometry.L2Bits, Alignment.Log2(L2Slice.MaxLength / geometry.L2EntrySize));
        _capacity = (int)Math.Clamp(capacityLength / (geometry.L2EntrySize << _sliceBits), 8, 1 << 24);
        L1 = l1;
        _rows = new L2Slice?[]?[l1.Count];
    }

    /// <summary>The active L1 table. Replaced only while drained.</summary>
    internal WordTable L1 { get; private set; }

    /// <summary>Number of slices with changes that are not on disk. Guarded by the allocation lock.</summary>
    internal int DirtyCount => _dirty.Count;

    /// <summary>More dirty slices than this are written back before another one becomes dirty.</summary>
    internal int MaxDirty => Math.Max(4, _capacity / 2);

    /// <summary>The L1 entry that leads to a guest cluster.</summary>
    internal L1Entry L1EntryOf(GuestCluster cluster) => new(L1[(int)cluster.L1Index(_geometry)]);

    /// <summary>The resident slice that maps a guest cluster; no lock, no I/O.</summary>
    internal bool TryGet(GuestCluster cluster, [NotNullWhen(true)] out L2Slice? slice)
    {
        slice = null;
        if (_rows[(int)cluster.L1Index(_geometry)] is not { } row)
        {
            return false;
        }

        slice = Volatile.Read(ref row[cluster.L2Index(_geometry) >> _sliceBits]);
        if (slice is null)
        {
            return false;
        }

        if (!slice.IsReferenced)
        {
            slice.IsReferenced = true;
        }

        return true;
    }

    /// <summary>The slice that maps a guest cluster; null when there is no L2 table for it.</summary>
    /// <exception cref="Errors.BlockLayerException">Corrupt: the L1 entry cannot be followed; Io.</exception>
    internal ValueTask<L2Slice?> LoadAsync(GuestCluster cluster)
        => TryGet(cluster, out L2Slice? slice) ? new(slice)
            : L1EntryOf(cluster).IsAllocated ? LoadSlowAsync(cluster)
            : default;

    /// <summary>As <see cref="LoadAsync"/>; the slice stays resident until <see cref="Unpin"/>.</summary>
    internal async ValueTask<L2Slice?> LoadPinnedAsync(GuestCluster cluster)
    {
        while (true)
        {
            L2Slice? slice = await LoadAsync(cluster).ConfigureAwait(false);
            if (slice is null)
            {
                return null;
            }

            lock (_gate)
            {
                if (TryGet(cluster, out L2Slice? resident) && resident == slice)
                {
                    slice.Pins++;
                    return slice;
                }
            }
        }
    }

    /// <summary>Undoes one <see cref="LoadPinnedAsync"/>.</summary>
    internal void Unpin(L2Slice slice)
    {
        lock (_gate)
        {
            slice.Pins--;
            Debug.Assert(slice.Pins >= 0, "let go more often than pinned");
        }
    }

    /// <summary>Notes a change to a pinned slice. The caller holds the allocation lock.</summary>
    internal void MarkDirty(L2Slice slice)
    {
        lock (_gate)
        {
            Debug.Assert(slice.Pins > 0, "only a pinned slice is changed");
            slice.Version++;
        }

        _dirty[NumberOf(slice.First)] = slice;
    }

    /// <summary>Copies every dirty slice. The caller holds the allocation lock.</summary>
    internal void Capture(List<TableWrite> writes)
    {
        foreach (L2Slice slice in _dirty.Values)
        {
            Debug.Assert(L1EntryOf(slice.First).IsCopied, "a table that others share is copied before it changes");
            writes.Add(new TableWrite(PositionOf(slice.First), slice.ToBytes(), this, NumberOf(slice.First), slice.Version));
        }
    }

    /// <inheritdoc/>
    public void Written(long key, long version)
    {
        lock (_gate)
        {
            if (!_dirty.TryGetValue(key, out L2Slice? slice))
            {
                return;
            }

            slice.WrittenVersion = version;
            if (slice.IsDirty)
            {
                return;
            }
        }

        _dirty.Remove(key);
    }

    /// <summary>Takes a longer L1 table that starts with the same entries. The node is drained.</summary>
    internal void ReplaceL1(WordTable l1)
    {
        lock (_gate)
        {
            var rows = new L2Slice?[]?[l1.Count];
            Array.Copy(_rows, rows, Math.Min(_rows.Length, rows.Length));
            L1 = l1;
            _rows = rows;
        }
    }

    /// <summary>Where the slice with this first cluster is in the file.</summary>
    internal HostOffset PositionOf(GuestCluster first)
        => L1EntryOf(first).L2Table.Plus((long)first.L2Index(_geometry) * _geometry.L2EntrySize);

    private long NumberOf(GuestCluster cluster) => cluster.Index >> _sliceBits;

    private async ValueTask<L2Slice?> LoadSlowAsync(GuestCluster cluster)
    {
        long number = NumberOf(cluster);
        PendingLoad? load;
        bool mine = false;
        lock (_gate)
        {
            if (TryGet(cluster, out L2Slice? resident))
            {
                return resident;
            }

            if (!_loads.TryGetValue(number, out load))
            {
                load = new PendingLoad();
                _loads.Add(number, load);
                mine = true;
            }
        }

        if (mine)
        {
            await RunLoadAsync(number, load).ConfigureAwait(false);
        }

        await load.Done.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        return load.Slice;
    }

    private async ValueTask RunLoadAsync(long number, PendingLoad load)
    {
        try
        {
            load.Slice = await ReadSliceAsync(new GuestCluster(number << _sliceBits)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            lock (_gate)
            {
                _loads.Remove(number);
            }

            load.Done.Fail(error); // and so to everybody who waits, ourselves included
            return;
        }

        lock (_gate)
        {
            _loads.Remove(number);
            InsertLocked(load.Slice);
        }

        load.Done.Complete();
    }

    private async ValueTask<L2Slice> ReadSliceAsync(GuestCluster first)
    {
        int l1Index = (int)first.L1Index(_geometry);
        L1Entry entry = L1EntryOf(first);
        EntryFault fault = entry.Validate(_geometry, _file.Child.Length);
        if (fault.IsFatal())
        {
            throw fault.ToException("L1 table entry", entry.Raw, L1.PositionOf(l1Index));
        }

        ulong[] words = new ulong[(_geometry.L2EntrySize << _sliceBits) / sizeof(ulong)];
        using (PooledBuffer bytes = _file.Parent.Environment.Buffers.Rent(words.Length * sizeof(ulong)))
        {
            HostOffset at = entry.L2Table.Plus((long)first.L2Index(_geometry) * _geometry.L2EntrySize);
            await _file.ReadPaddedAsync(at.Value, bytes.Memory, CancellationToken.None).ConfigureAwait(false);
            MemoryMarshal.Cast<byte, ulong>(bytes.Span).CopyTo(words);
        }

        WordTable.SwapBytes(words);
        return new L2Slice(_geometry, first, words, _version, _file.Child.Length);
    }

    private void InsertLocked(L2Slice slice)
    {
        if (_ring.Count >= _capacity)
        {
            EvictLocked();
        }

        int l1Index = (int)slice.First.L1Index(_geometry);
        L2Slice?[] row = _rows[l1Index] ??= new L2Slice?[1 << (_geometry.L2Bits - _sliceBits)];
        slice.RingIndex = _ring.Count;
        _ring.Add(slice);
        Volatile.Write(ref row[slice.First.L2Index(_geometry) >> _sliceBits], slice);
    }

    private void EvictLocked()
    {
        for (int steps = 2 * _ring.Count; steps > 0; steps--)
        {
            _hand = _hand + 1 < _ring.Count ? _hand + 1 : 0;
            L2Slice slice = _ring[_hand];
            if (slice.IsReferenced)
            {
                slice.IsReferenced = false;
                continue;
            }

            if (slice.Pins > 0 || slice.IsDirty)
            {
                continue;
            }

            Volatile.Write(ref _rows[(int)slice.First.L1Index(_geometry)]![slice.First.L2Index(_geometry) >> _sliceBits], null);
            L2Slice last = _ring[^1];
            _ring[slice.RingIndex] = last;
            last.RingIndex = slice.RingIndex;
            _ring.RemoveAt(_ring.Count - 1);
            return;
        }
    }

    /// <summary>A load under way.</summary>
    private sealed class PendingLoad
    {
        internal Completion Done { get; } = new();

        internal L2Slice Slice { get; set; } = null!; // set before Done completes
    }
}
