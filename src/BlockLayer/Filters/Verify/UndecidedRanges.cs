using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>Ranges of which nothing is known, because a change of them failed. Free-threaded.</summary>
internal sealed class UndecidedRanges
{
    private readonly Lock _gate = new();
    private readonly List<ByteRange> _ranges = []; // guarded by _gate; ascending, neither overlapping nor empty

    /// <summary>Nothing is known of the range any more.</summary>
    internal void Add(ByteRange range)
    {
        lock (_gate)
        {
            RemoveLocked(range);
            _ranges.Add(range);
            _ranges.Sort(static (one, other) => one.Offset.CompareTo(other.Offset));
        }
    }

    /// <summary>The range is known again.</summary>
    internal void Remove(ByteRange range)
    {
        lock (_gate)
        {
            if (_ranges.Count > 0)
            {
                RemoveLocked(range);
            }
        }
    }

    /// <summary>The parts of a range that are known, in ascending order.</summary>
    internal List<ByteRange> KnownPartsOf(ByteRange range)
    {
        var known = new List<ByteRange>();
        lock (_gate)
        {
            long at = range.Offset;
            foreach (ByteRange undecided in _ranges.Where(undecided => undecided.Overlaps(range)))
            {
                AddTo(known, at, undecided.Offset);
                at = undecided.End;
            }

            AddTo(known, at, range.End);
        }

        return known;
    }

    private void RemoveLocked(ByteRange range)
    {
        var left = new List<ByteRange>();
        foreach (ByteRange old in _ranges)
        {
            if (!old.Overlaps(range))
            {
                left.Add(old);
                continue;
            }

            AddTo(left, old.Offset, range.Offset);
            AddTo(left, range.End, old.End);
        }

        _ranges.Clear();
        _ranges.AddRange(left);
    }

    private static void AddTo(List<ByteRange> ranges, long from, long to)
    {
        if (from < to)
        {
            ranges.Add(new ByteRange(from, to - from));
        }
    }
}
