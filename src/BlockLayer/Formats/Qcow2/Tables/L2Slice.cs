using System.Diagnostics;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// A part of an L2 table in memory: 4 KiB of it, or the whole table where clusters are smaller. It is named by the guest clusters it
/// maps, not by where it is stored, so it stays the same object when its table moves.
/// </summary>
/// <remarks>
/// Invariants: (1) an entry is one word and is read with one volatile read, without a lock; (2) entries change under the allocation lock only, while the
/// slice is pinned or dirty, so a change never meets an eviction; (3) an entry whose host bytes may be overwritten in place is <i>trusted</i>: its
/// refcount was looked up and it does not point into metadata. Trust ends for all slices when <see cref="MetadataOverlapGuard.Generation"/> moves on;
/// (4) an extended entry is two words, and nobody sees one of them without the other: see the part for subclusters.
/// </remarks>
internal sealed partial class L2Slice
{
    /// <summary>Bytes on disk; less where a cluster is smaller.</summary>
    internal const int MaxLength = 4096;

    private readonly ulong[] _entries;
    private readonly ulong[]? _subclusters; // second words of extended entries; null where entries are standard
    private readonly ulong[] _trusted;      // one bit an entry; written under the allocation lock
    private readonly ClusterGeometry _geometry;
    private readonly Dictionary<int, EntryFault>? _faults;
    private long _trustGeneration;

    /// <summary>Takes over the words of entries in host order and judges each entry.</summary>
    internal L2Slice(ClusterGeometry geometry, GuestCluster first, ulong[] words, int version, long fileLength)
    {
        _geometry = geometry;
        _entries = words;
        First = first;
        if (geometry.L2EntryFormat == L2EntryFormat.Extended)
        {
            (_entries, _subclusters) = SplitPairs(words);
        }

        _trusted = new ulong[(_entries.Length + 63) / 64];
        for (int i = 0; i < _entries.Length; i++)
        {
            L2Entry entry = L2Entry.FromDisk(_entries[i], geometry);
            _entries[i] = entry.Raw;
            EntryFault fault = _subclusters is not null ? new ExtendedL2Entry(entry, _subclusters[i]).Validate(geometry, version, fileLength)
                : entry.Raw == 0 ? EntryFault.None
                : entry.Validate(geometry, version, fileLength);
            if (!fault.IsFatal() && geometry.HasDataFile && entry.Kind is ClusterKind.Data or ClusterKind.ZeroAllocated
                && entry.HostOffset.Value != first.Plus(i).Offset(geometry).Value)
            {
                fault = EntryFault.NotAtGuestOffset;
            }

            if (fault.IsFatal())
            {
                (_faults ??= []).Add(i, fault);
            }
        }

        if (_subclusters is not null)
        {
            DropReservedZeroFlags();
        }
    }

    /// <summary>The first guest cluster it maps.</summary>
    internal GuestCluster First { get; }

    /// <summary>Number of entries.</summary>
    internal int Count => _entries.Length;

    /// <summary>The guest cluster behind the last one it maps.</summary>
    internal GuestCluster End => First.Plus(Count);

    /// <summary>Counts up on every change. Guarded by the allocation lock.</summary>
    internal long Version { get; set; }

    /// <summary>The version that is on disk. Guarded by the allocation lock.</summary>
    internal long WrittenVersion { get; set; }

    /// <summary>True when a change is not on disk yet.</summary>
    internal bool IsDirty => Version != WrittenVersion;

    /// <summary>How many operations rely on the slice staying resident. Guarded by the cache's gate.</summary>
    internal int Pins { get; set; }

    /// <summary>Where the slice stands in the cache's ring. Guarded by the cache's gate.</summary>
    internal int RingIndex { get; set; }

    /// <summary>Set by use, cleared by the eviction hand when it passes: a hint, so races do not matter.</summary>
    internal bool IsReferenced { get; set; }

    /// <summary>The entry of a guest cluster; of an extended one, the first word.</summary>
    internal L2Entry this[GuestCluster cluster] => new(Volatile.Read(ref _entries[IndexOf(cluster)]));

    /// <summary>Changes the entry of a guest cluster. The caller holds the allocation lock and marks the slice dirty.</summary>
    /// <param name="cluster">The guest cluster.</param>
    /// <param name="entry">The entry, or the first word of an extended one.</param>
    /// <param name="subclusters">The second word of an extended entry.</param>
    internal void Set(GuestCluster cluster, L2Entry entry, ulong subclusters = 0)
    {
        int index = IndexOf(cluster);
        if (_subclusters is not null)
        {
            SetPair(index, entry, subclusters);
            return;
        }

        Debug.Assert(subclusters == 0, "a standard entry has one word");
        Volatile.Write(ref _entries[index], entry.Raw);
    }

    /// <summary>What makes an entry unusable; <see cref="EntryFault.None"/> if nothing does.</summary>
    internal EntryFault FaultOf(GuestCluster cluster)
        => _faults is not null && _faults.TryGetValue(IndexOf(cluster), out EntryFault fault) ? fault : EntryFault.None;

    /// <summary>True when the host bytes of the entry may be overwritten.</summary>
    internal bool IsTrusted(GuestCluster cluster, long generation)
    {
        int index = IndexOf(cluster);
        return Volatile.Read(ref _trustGeneration) == generation && (Volatile.Read(ref _trusted[index >> 6]) >> index & 1) != 0;
    }

    /// <summary>The guard's generation when all entries were last looked at for trust. Guarded by the allocation lock.</summary>
    internal long SweptGeneration { get; set; }

    /// <summary>Remembers that an entry was checked. The caller holds the allocation lock.</summary>
    internal void Trust(GuestCluster cluster, long generation)
    {
        if (_trustGeneration != generation)
        {
            Array.Clear(_trusted);
            Volatile.Write(ref _trustGeneration, generation);
        }

        int index = IndexOf(cluster);
        Volatile.Write(ref _trusted[index >> 6], _trusted[index >> 6] | 1UL << (index & 63));
    }

    /// <summary>The run of one kind that starts at a guest offset: for data and allocated zeroes, contiguous in the file.</summary>
    /// <param name="offset">A position this slice maps.</param>
    /// <param name="length">Bytes wanted; at least 1.</param>
    /// <param name="run">The run, not longer than wanted.</param>
    /// <returns>False when the first entry is unusable; <see cref="FaultOf"/> says why.</returns>
    internal bool TryLookup(GuestOffset offset, long length, out ClusterMapping run)
    {
        if (_subclusters is not null)
        {
            return TryLookupPairs(offset, length, out run);
        }

        GuestCluster cluster = offset.Cluster(_geometry);
        L2Entry first = this[cluster];
        ClusterKind kind = first.Kind;
        int inCluster = offset.OffsetInCluster(_geometry);
        long covered = _geometry.ClusterSize - inCluster;
        bool hasHost = kind is ClusterKind.Data or ClusterKind.ZeroAllocated;
        run = new ClusterMapping(kind, hasHost ? first.HostOffset.Plus(inCluster) : default, Math.Min(covered, length), first);
        if (_faults is not null && FaultOf(cluster) != EntryFault.None)
        {
            return false;
        }

        if (covered >= length || kind == ClusterKind.Compressed)
        {
            return true;
        }

        // Runs are long, and most entries of one differ from the first by where they lead alone: only others are decoded.
        ulong distance = hasHost ? (ulong)_geometry.ClusterSize : 0;
        ulong expected = first.Raw;
        for (int next = IndexOf(cluster) + 1; covered < length && next < _entries.Length; next++)
        {
            expected += distance;
            ulong raw = Volatile.Read(ref _entries[next]);
            if ((raw != expected && !IsSameMapping(new L2Entry(raw), new L2Entry(expected))) || (_faults is not null && _faults.ContainsKey(next)))
            {
                break;
            }

            covered += _geometry.ClusterSize;
        }

        run = run with { Length = Math.Min(covered, length) };
        return true;
    }

    /// <summary>The run of host bytes that may be overwritten in place, from a guest offset on.</summary>
    /// <param name="offset">A position this slice maps.</param>
    /// <param name="length">Bytes wanted.</param>
    /// <param name="generation">The guard's generation now.</param>
    /// <param name="host">Where the run is in the file.</param>
    /// <returns>Length of the run; 0 when the first cluster cannot be overwritten in place.</returns>
    internal int LookupWritable(GuestOffset offset, int length, long generation, out HostOffset host)
    {
        if (_subclusters is not null)
        {
            return LookupWritablePairs(offset, length, generation, out host);
        }

        GuestCluster cluster = offset.Cluster(_geometry);
        int inCluster = offset.OffsetInCluster(_geometry);
        L2Entry first = this[cluster];
        host = first.HostOffset.Plus(inCluster);
        if (!IsWritable(cluster, first, generation))
        {
            return 0;
        }

        long covered = _geometry.ClusterSize - inCluster;
        long expectedHost = first.HostOffset.Value;
        for (GuestCluster next = cluster.Plus(1); covered < length && next.Index < End.Index; next = next.Plus(1))
        {
            L2Entry entry = this[next];
            expectedHost += _geometry.ClusterSize;
            if (entry.HostOffset.Value != expectedHost || !IsWritable(next, entry, generation))
            {
                break;
            }

            covered += _geometry.ClusterSize;
        }

        return (int)Math.Min(covered, length);
    }

    /// <summary>The entries as they go to disk. The caller holds the allocation lock.</summary>
    internal byte[] ToBytes() => WordTable.ToBytes(_subclusters is null ? _entries : JoinPairs());

    private bool IsWritable(GuestCluster cluster, L2Entry entry, long generation)
        => entry.Kind == ClusterKind.Data && entry.IsCopied && IsTrusted(cluster, generation);

    // The copied flag is no part of it: clusters that snapshots share and those that they do not may lie side by side.
    private static bool IsSameMapping(L2Entry one, L2Entry other) => one.Kind == other.Kind && one.HostOffset == other.HostOffset;

    private int IndexOf(GuestCluster cluster)
    {
        Debug.Assert(cluster.Index >= First.Index && cluster.Index < End.Index, "the slice maps another part of the disk");
        return (int)(cluster.Index - First.Index);
    }
}
