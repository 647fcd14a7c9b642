using BlockLayer.Primitives;

namespace BlockLayer.Requests;

// Who copies what: the decision for every unit of a piece, made in one go under the lock.
internal sealed partial class CopyQueue
{
    /// <summary>Decides, for every unit that lacks something, who copies it.</summary>
    /// <param name="wanted">What lacks its copy, ascending.</param>
    /// <param name="end">End of the disk, where the last unit may be short.</param>
    /// <param name="purpose">For whom.</param>
    /// <param name="reserved">Memory that a job has reserved, enough for all units of <paramref name="wanted"/>; it passes to the copies, the rest is released.</param>
    /// <returns>
    /// Shares for the units of <paramref name="wanted"/>, ascending. The asker fetches, stores and finishes (or abandons) the copies that are its own, and
    /// leaves the others with <see cref="DropUser"/>.
    /// </returns>
    internal List<CopyShare> Claim(IReadOnlyList<CopyExtent> wanted, long end, CopyPurpose purpose, long reserved = 0)
    {
        var shares = new List<CopyShare>();
        lock (_gate)
        {
            List<UnitChoice> choices = ChooseLocked(wanted, end, purpose);
            List<RangeCopy> copies = Prepare(choices, wanted);
            long needed = copies.Sum(copy => copy.Reserved);
            if (purpose == CopyPurpose.Job)
            {
                reserved -= needed;
            }
            else if (!Memory.TryReserve(needed))
            {
                copies.Clear();
                _withoutMemory++;
            }

            _copies.AddRange(copies);
            _copiesBegun += copies.Count;
            Share(choices, copies, shares);
        }

        Memory.Release(reserved);
        return shares;
    }

    private List<UnitChoice> ChooseLocked(IReadOnlyList<CopyExtent> wanted, long end, CopyPurpose purpose)
    {
        var choices = new List<UnitChoice>();
        long next = 0;
        foreach (CopyExtent extent in wanted)
        {
            long first = Math.Max(next, Alignment.RoundDown(extent.Range.Offset, UnitSize));
            for (; first < extent.Range.End; first += UnitSize)
            {
                choices.Add(ChooseLocked(new ByteRange(first, Math.Min(UnitSize, end - first)), purpose));
            }

            next = Math.Max(next, first);
        }

        return choices;
    }

    private UnitChoice ChooseLocked(ByteRange unit, CopyPurpose purpose)
    {
        foreach (RangeCopy copy in _copies)
        {
            if (copy.Range.Contains(unit) && copy.StateLocked(copy.UnitAt(unit.Offset)) != RangeCopy.UnitState.Released)
            {
                return new UnitChoice(unit, JoinLocked(copy, unit), IsFresh: false);
            }
        }

        bool copies = purpose == CopyPurpose.Job
            || (_failures.GetValueOrDefault(unit.Offset) < FailuresBeforeReadThrough && _strategy.CopiesOnRead(unit));
        return new UnitChoice(unit, Joined: null, IsFresh: copies && !GuestOverlapsLocked(unit));
    }

    // A reader at a cancelled unit where no guest is any more brings its copy back: its bytes are as good as ever. While the guest
    // is there, the reader reads through.
    private RangeCopy? JoinLocked(RangeCopy copy, ByteRange unit)
    {
        int index = copy.UnitAt(unit.Offset);
        if (copy.StateLocked(index) == RangeCopy.UnitState.Cancelled)
        {
            if (GuestOverlapsLocked(unit))
            {
                return null;
            }

            copy.SetStateLocked(index, RangeCopy.UnitState.Claimed);
            _revived++;
        }

        return copy;
    }

    private bool GuestOverlapsLocked(ByteRange unit)
    {
        for (LinkedListNode<GuestClaim>? node = _guests.First; node is not null; node = node.Next)
        {
            if (node.Value.Held.Overlaps(unit))
            {
                return true;
            }
        }

        return false;
    }

    // One copy a run of fresh units.
    private List<RangeCopy> Prepare(List<UnitChoice> choices, IReadOnlyList<CopyExtent> wanted)
    {
        var copies = new List<RangeCopy>();
        for (int first = 0; first < choices.Count; first++)
        {
            if (!choices[first].IsFresh)
            {
                continue;
            }

            int last = first;
            while (last + 1 < choices.Count && choices[last + 1].IsFresh && choices[last + 1].Unit.Offset == choices[last].Unit.End)
            {
                last++;
            }

            var range = new ByteRange(choices[first].Unit.Offset, choices[last].Unit.End - choices[first].Unit.Offset);
            copies.Add(new RangeCopy(range, [.. Cut(wanted, range)], UnitSize));
            first = last;
        }

        return copies;
    }

    private static IEnumerable<CopyExtent> Cut(IReadOnlyList<CopyExtent> wanted, ByteRange range)
    {
        foreach (CopyExtent extent in wanted)
        {
            if (extent.Range.Overlaps(range))
            {
                long first = Math.Max(extent.Range.Offset, range.Offset);
                yield return extent with { Range = new ByteRange(first, Math.Min(extent.Range.End, range.End) - first) };
            }
        }
    }

    // One share a run of units with the same answer; the asker uses a joined copy once a share.
    private void Share(List<UnitChoice> choices, List<RangeCopy> copies, List<CopyShare> shares)
    {
        int next = 0;
        foreach (UnitChoice choice in choices)
        {
            RangeCopy? own = null;
            if (choice.IsFresh && copies.Count > 0)
            {
                next += copies[next].Range.Contains(choice.Unit) ? 0 : 1;
                own = copies[next];
            }

            RangeCopy? copy = own ?? choice.Joined;
            if (shares.Count > 0 && shares[^1] is var last && last.Copy == copy && last.Range.End == choice.Unit.Offset)
            {
                shares[^1] = last with { Range = new ByteRange(last.Range.Offset, choice.Unit.End - last.Range.Offset) };
                continue;
            }

            if (choice.Joined is { } joined)
            {
                joined.AddUserLocked();
                _joined++;
            }

            shares.Add(new CopyShare(choice.Unit, copy, IsMine: own is not null));
        }
    }

    private readonly record struct UnitChoice(ByteRange Unit, RangeCopy? Joined, bool IsFresh);
}
