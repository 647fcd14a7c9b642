using System.Collections;
using System.Diagnostics;
using System.Numerics;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Part of an L2 table in memory: up to 4096 entries. One object for as long as the cache holds it; whoever still has it after its eviction reads what was
/// true before. Entries are read freely and written under the mapping lock.
/// </summary>
/// <remarks>A published data entry never changes while the image is open: a lookup that answers data stays right without a lock.</remarks>
internal sealed class L2Slice
{
    private readonly ulong[] _entries; // written under the mapping lock, read freely
    private readonly BitArray? _bad;   // constant; entries that cannot be followed
    private ulong _dirtySectors;       // guarded by the mapping lock; one bit a sector

    internal L2Slice(long index, HostOffset location, ulong[] entries, BitArray? bad)
    {
        Debug.Assert(entries.Length <= 64 * TableSector.Entries, "one bit a sector");
        Index = index;
        Location = location;
        _entries = entries;
        _bad = bad;
    }

    /// <summary>Which slice of the disk, counted from 0.</summary>
    internal long Index { get; }

    /// <summary>Where the slice lies in the image file.</summary>
    internal HostOffset Location { get; }

    /// <summary>Guarded by the mapping lock: how many allocations in flight will publish into the slice, plus one while it is written back.</summary>
    internal int Pins { get; set; }

    /// <summary>Set by every lookup, cleared by the cache when it looks for something to evict.</summary>
    internal bool WasUsed { get; set; } = true;

    /// <summary>The caller holds the mapping lock.</summary>
    internal bool IsDirtyLocked => _dirtySectors != 0;

    /// <summary>The caller holds the mapping lock.</summary>
    internal bool IsEvictableLocked => _dirtySectors == 0 && Pins == 0;

    internal L2Entry this[int index] => new(Volatile.Read(ref _entries[index]));

    /// <summary>True when the entry holds an offset that cannot be followed; requests that need it fail.</summary>
    internal bool IsBad(int index) => _bad is not null && _bad[index];

    /// <summary>
    /// The run of entries from <paramref name="first"/> on that say the same: contiguous data, zeroes, or nothing.
    /// </summary>
    /// <returns>How many, at most <paramref name="limit"/>; 0 when the first one is bad.</returns>
    internal int FindRun(int first, int limit, int clusterBits, out L2Entry entry)
    {
        entry = this[first];
        if (_bad is not null && _bad[first])
        {
            return 0;
        }

        ClusterKind kind = entry.Kind;
        int end = Math.Min(_entries.Length, first + limit);
        int at = first + 1;
        for (; at < end; at++)
        {
            L2Entry next = this[at];
            bool same = kind == ClusterKind.Data
                ? next.Raw == entry.Raw + ((ulong)(at - first) << clusterBits)
                : next.Raw == entry.Raw;
            if (!same || (_bad is not null && _bad[at]))
            {
                break;
            }
        }

        return at - first;
    }

    /// <summary>Changes an entry; the caller holds the mapping lock. Visible to every lookup from now on, on disk after the next flush.</summary>
    internal void PublishLocked(int index, L2Entry entry)
    {
        Debug.Assert(this[index].Kind != ClusterKind.Data, "a published data cluster stays where it is");
        Debug.Assert(!IsBad(index), "nothing is stored over an entry that nobody understands");
        Volatile.Write(ref _entries[index], entry.Raw);
        _dirtySectors |= 1UL << (index / TableSector.Entries);
    }

    /// <summary>Copies the dirty sectors for writing and counts the slice clean; the caller holds the mapping lock.</summary>
    /// <returns>Which sectors were copied, for <see cref="MarkDirtyLocked"/> if they cannot be written.</returns>
    internal ulong TakeDirtyLocked(List<TableWrite> writes)
    {
        ulong taken = _dirtySectors;
        for (ulong rest = taken; rest != 0;)
        {
            int first = BitOperations.TrailingZeroCount(rest);
            int count = BitOperations.TrailingZeroCount(~(rest >> first));
            byte[] bytes = new byte[count * QedLimits.SectorSize];
            TableSector.Encode(_entries.AsSpan(first * TableSector.Entries, count * TableSector.Entries), bytes);
            writes.Add(new TableWrite(Location.Plus((long)first * QedLimits.SectorSize), bytes));
            rest &= count == 64 ? 0 : ~(((1UL << count) - 1) << first);
        }

        _dirtySectors = 0;
        return taken;
    }

    /// <summary>Counts sectors dirty again that could not be written; the caller holds the mapping lock.</summary>
    internal void MarkDirtyLocked(ulong sectors) => _dirtySectors |= sectors;
}
