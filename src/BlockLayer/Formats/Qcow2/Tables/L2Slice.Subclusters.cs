namespace BlockLayer.Formats.Qcow2;

// Extended entries: two words that change together.
//
//   writer, under the allocation lock            reader, without a lock
//     sequence becomes odd                         sequence, even?
//     both words                                   words of the whole run
//     sequence becomes even                        the same sequence still? else once more, keeping writers out
//
// A reader does not spin: it meets a writer rarely, and the writer's part is two stores.
internal sealed partial class L2Slice
{
    private readonly Lock _pairGate = new(); // held by a writer of a pair, and by a reader that met one
    private long _sequence;                  // odd while a pair changes; written under _pairGate

    /// <summary>Both words of a guest cluster's entry; of a standard entry the second is 0. The caller holds the allocation lock, or takes what may be outdated.</summary>
    internal ExtendedL2Entry EntryOf(GuestCluster cluster)
    {
        if (_subclusters is null)
        {
            return new ExtendedL2Entry(this[cluster], 0);
        }

        lock (_pairGate)
        {
            return PairOf(cluster);
        }
    }

    private static (ulong[] First, ulong[] Second) SplitPairs(ulong[] words)
    {
        ulong[] first = new ulong[words.Length / 2];
        ulong[] second = new ulong[words.Length / 2];
        for (int i = 0; i < first.Length; i++)
        {
            (first[i], second[i]) = (words[2 * i], words[(2 * i) + 1]);
        }

        return (first, second);
    }

    private ulong[] JoinPairs()
    {
        ulong[] words = new ulong[2 * _entries.Length];
        for (int i = 0; i < _entries.Length; i++)
        {
            (words[2 * i], words[(2 * i) + 1]) = (_entries[i], _subclusters![i]);
        }

        return words;
    }

    /// <summary>qcow2 spec, "Standard Cluster Descriptor": bit 0 is always 0 here. One that is set was judged as a reserved bit and means nothing.</summary>
    private void DropReservedZeroFlags()
    {
        for (int i = 0; i < _entries.Length; i++)
        {
            _entries[i] = new L2Entry(_entries[i]).WithoutZero().Raw;
        }
    }

    private void SetPair(int index, L2Entry entry, ulong subclusters)
    {
        lock (_pairGate)
        {
            Interlocked.Increment(ref _sequence); // a full fence: no store below is seen before it
            Volatile.Write(ref _entries[index], entry.Raw);
            Volatile.Write(ref _subclusters![index], subclusters);
            Volatile.Write(ref _sequence, _sequence + 1);
        }
    }

    private bool TryLookupPairs(GuestOffset offset, long length, out ClusterMapping run)
    {
        long before = Volatile.Read(ref _sequence);
        if ((before & 1) == 0)
        {
            bool found = TryLookupPairsOnce(offset, length, out run);
            if (Volatile.Read(ref _sequence) == before)
            {
                return found;
            }
        }

        lock (_pairGate)
        {
            return TryLookupPairsOnce(offset, length, out run);
        }
    }

    private bool TryLookupPairsOnce(GuestOffset offset, long length, out ClusterMapping run)
    {
        GuestCluster cluster = offset.Cluster(_geometry);
        int inCluster = offset.OffsetInCluster(_geometry);
        ExtendedL2Entry entry = PairOf(cluster);
        int subcluster = inCluster >> _geometry.SubclusterBits;
        ClusterKind kind = entry.KindOf(subcluster);
        bool hasHost = kind is ClusterKind.Data or ClusterKind.ZeroAllocated;
        HostOffset host = hasHost ? entry.Cluster.HostOffset.Plus(inCluster) : default;
        int end = subcluster + entry.RunFrom(subcluster);
        long covered = ((long)end << _geometry.SubclusterBits) - inCluster;
        run = new ClusterMapping(kind, host, Math.Min(covered, length), entry.Cluster);
        if (_faults is not null && FaultOf(cluster) != EntryFault.None)
        {
            return false;
        }

        if (covered >= length || end < ExtendedL2Entry.SubclusterCount || kind == ClusterKind.Compressed)
        {
            return true;
        }

        for (GuestCluster next = cluster.Plus(1); covered < length && next.Index < End.Index; next = next.Plus(1))
        {
            entry = PairOf(next);
            if (entry.KindOf(0) != kind || (hasHost && entry.Cluster.HostOffset.Value != host.Value + covered) || FaultOf(next) != EntryFault.None)
            {
                break;
            }

            int alike = entry.RunFrom(0);
            covered += (long)alike << _geometry.SubclusterBits;
            if (alike < ExtendedL2Entry.SubclusterCount)
            {
                break;
            }
        }

        run = run with { Length = Math.Min(covered, length) };
        return true;
    }

    private int LookupWritablePairs(GuestOffset offset, int length, long generation, out HostOffset host)
    {
        long before = Volatile.Read(ref _sequence);
        if ((before & 1) == 0)
        {
            int found = LookupWritablePairsOnce(offset, length, generation, out host);
            if (Volatile.Read(ref _sequence) == before)
            {
                return found;
            }
        }

        lock (_pairGate)
        {
            return LookupWritablePairsOnce(offset, length, generation, out host);
        }
    }

    private int LookupWritablePairsOnce(GuestOffset offset, int length, long generation, out HostOffset host)
    {
        host = default;
        long covered = 0;
        int inCluster = offset.OffsetInCluster(_geometry);
        for (GuestCluster cluster = offset.Cluster(_geometry); covered < length && cluster.Index < End.Index; cluster = cluster.Plus(1))
        {
            ExtendedL2Entry entry = PairOf(cluster);
            int subcluster = inCluster >> _geometry.SubclusterBits;
            HostOffset at = entry.Cluster.HostOffset.Plus(inCluster);
            if (entry.KindOf(subcluster) != ClusterKind.Data || !IsWritable(cluster, entry.Cluster, generation) || (covered > 0 && at.Value != host.Value + covered))
            {
                break;
            }

            host = covered == 0 ? at : host;
            int end = subcluster + entry.RunFrom(subcluster);
            covered += ((long)end << _geometry.SubclusterBits) - inCluster;
            inCluster = 0;
            if (end < ExtendedL2Entry.SubclusterCount)
            {
                break;
            }
        }

        return (int)Math.Min(covered, length);
    }

    // Each read is an acquire: the sequence that is read behind them cannot be older than they are.
    private ExtendedL2Entry PairOf(GuestCluster cluster) => new(this[cluster], Volatile.Read(ref _subclusters![IndexOf(cluster)]));
}
