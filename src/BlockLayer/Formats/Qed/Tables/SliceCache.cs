using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The L2 slices in memory, up to a number of them. Lookups take no lock. Slices that are dirty or pinned stay whatever the number, so whoever dirties
/// them watches <see cref="IsCrowdedLocked"/>.
/// </summary>
/// <remarks>
/// Every member named ...Locked wants the mapping lock. Eviction is second chance: a hand goes round the slices, forgives those that were used since it
/// last came by, and takes the first other one.
/// </remarks>
internal sealed class SliceCache
{
    private readonly ConcurrentDictionary<long, L2Slice> _slices = new(); // changed under the mapping lock, read freely
    private readonly List<L2Slice> _ring = [];                            // guarded by the mapping lock; the same slices
    private readonly Dictionary<long, BitArray?> _verdicts = [];          // guarded by the mapping lock
    private readonly int _capacity;
    private int _hand;  // guarded by the mapping lock
    private int _dirty; // guarded by the mapping lock; slices that are dirty, or being written

    /// <param name="capacity">How many slices may stay; at least 4, so that a few requests never evict each other's forever.</param>
    internal SliceCache(int capacity) => _capacity = Math.Max(4, capacity);

    /// <summary>True when so much is dirty that it should be flushed before more becomes so.</summary>
    internal bool IsCrowdedLocked => _dirty >= Math.Max(2, _capacity / 2);

    /// <summary>Slices in memory; for tests.</summary>
    internal int Count => _slices.Count;

    /// <summary>The slice, if it is in memory.</summary>
    internal bool TryGet(long index, [MaybeNullWhen(false)] out L2Slice slice)
    {
        if (!_slices.TryGetValue(index, out slice))
        {
            return false;
        }

        if (!slice.WasUsed)
        {
            slice.WasUsed = true;
        }

        return true;
    }

    /// <summary>True while <paramref name="slice"/> is the one object for its part of the table.</summary>
    internal bool IsCurrentLocked(L2Slice slice) => _slices.TryGetValue(slice.Index, out L2Slice? current) && current == slice;

    /// <summary>Takes a slice in that was just read, and evicts others.</summary>
    internal L2Slice AddLocked(long index, HostOffset location, ulong[] entries, Func<ulong[], BitArray?> judge)
    {
        // A slice is judged once, when it is first read: by then nothing of ours can be in it. Read again, it may hold places that did not exist at the open.
        if (!_verdicts.TryGetValue(index, out BitArray? bad))
        {
            bad = judge(entries);
            _verdicts.Add(index, bad);
        }

        var slice = new L2Slice(index, location, entries, bad);
        while (_ring.Count >= _capacity && TryEvictLocked())
        {
        }

        bool added = _slices.TryAdd(index, slice);
        Debug.Assert(added, "a slice is read by one caller at a time");
        _ring.Add(slice);
        return slice;
    }

    internal void PublishLocked(L2Slice slice, int index, L2Entry entry)
    {
        Debug.Assert(IsCurrentLocked(slice), "published into a slice that was evicted");
        if (!slice.IsDirtyLocked)
        {
            _dirty++;
        }

        slice.PublishLocked(index, entry);
    }

    /// <summary>Copies everything dirty for writing. The slices count clean and stay pinned until <see cref="SettleLocked"/>.</summary>
    internal List<(L2Slice Slice, ulong Sectors)> TakeDirtyLocked(List<TableWrite> writes)
    {
        var taken = new List<(L2Slice, ulong)>();
        foreach (L2Slice slice in _ring)
        {
            if (slice.IsDirtyLocked)
            {
                taken.Add((slice, slice.TakeDirtyLocked(writes)));
                slice.Pins++;
            }
        }

        _dirty = 0;
        return taken;
    }

    /// <summary>Ends the write-back of what was taken; what could not be written is dirty again.</summary>
    internal void SettleLocked(List<(L2Slice Slice, ulong Sectors)> taken, bool written)
    {
        foreach ((L2Slice slice, ulong sectors) in taken)
        {
            slice.Pins--;
            if (written)
            {
                continue;
            }

            if (!slice.IsDirtyLocked)
            {
                _dirty++;
            }

            slice.MarkDirtyLocked(sectors);
        }
    }

    private bool TryEvictLocked()
    {
        for (int steps = 2 * _ring.Count; steps > 0; steps--)
        {
            _hand = _hand + 1 < _ring.Count ? _hand + 1 : 0;
            L2Slice slice = _ring[_hand];
            if (!slice.IsEvictableLocked)
            {
                continue;
            }

            if (slice.WasUsed)
            {
                slice.WasUsed = false;
                continue;
            }

            _ring[_hand] = _ring[^1];
            _ring.RemoveAt(_ring.Count - 1);
            _slices.TryRemove(slice.Index, out _);
            return true;
        }

        return false;
    }
}
