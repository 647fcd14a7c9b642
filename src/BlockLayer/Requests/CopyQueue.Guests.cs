using BlockLayer.Primitives;

namespace BlockLayer.Requests;

// Guest writes: how a claim grows, upwards, past copies that it cancels and up to copies that it waits for.
internal sealed partial class CopyQueue
{
    /// <summary>Takes a guest write's claim. It waits for copies in its way that it does not cancel, and for nothing else.</summary>
    /// <param name="range">What is written, any alignment.</param>
    /// <param name="cancellationToken">Takes a waiting claim out.</param>
    internal ValueTask<GuestClaim> EnterGuestAsync(ByteRange range, CancellationToken cancellationToken)
    {
        var claim = new GuestClaim(this, range.RoundOut(UnitSize));
        ValueTask<bool> wait;
        lock (_gate)
        {
            if (AdvanceLocked(claim))
            {
                return new ValueTask<GuestClaim>(claim);
            }

            wait = claim.Waiter!.Task;
        }

        return EnterLaterAsync(claim, wait, cancellationToken);
    }

    internal void Leave(GuestClaim claim)
    {
        lock (_gate)
        {
            if (claim.Node is { } node)
            {
                _guests.Remove(node);
                claim.Node = null;
            }
        }
    }

    private async ValueTask<GuestClaim> EnterLaterAsync(GuestClaim claim, ValueTask<bool> wait, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                claim.Waiter!.ArmCancellation(cancellationToken);
                await wait.ConfigureAwait(false);
                lock (_gate)
                {
                    if (AdvanceLocked(claim))
                    {
                        return claim;
                    }

                    wait = claim.Waiter!.Task;
                }
            }
        }
        catch
        {
            Leave(claim);
            throw;
        }
    }

    // Takes units from where the claim ends. True: it has all. False: its waiter stands at the unit that is in the way.
    private bool AdvanceLocked(GuestClaim claim)
    {
        claim.Waiter = null;
        while (FindFirstLocked(new ByteRange(claim.Held.End, claim.Range.End - claim.Held.End)) is (RangeCopy copy, int unit))
        {
            ByteRange taken = copy.UnitRange(unit);
            Hold(claim, Math.Max(claim.Held.End, taken.Offset));
            bool cancels = copy.StateLocked(unit) == RangeCopy.UnitState.Claimed && _strategy.OnGuestWrite(taken) == CopyConflict.CancelCopy;
            if (!cancels)
            {
                claim.Waiter = new Waiter<bool>();
                copy.AddWaiterLocked(unit, claim);
                _guestWaits++;
                return false;
            }

            copy.SetStateLocked(unit, RangeCopy.UnitState.Cancelled);
            _cancelled++;
            Hold(claim, taken.End);
        }

        Hold(claim, claim.Range.End);
        return true;
    }

    private void Hold(GuestClaim claim, long end)
    {
        claim.Held = new ByteRange(claim.Range.Offset, Math.Min(end, claim.Range.End) - claim.Range.Offset);
        if (claim.Node is null && !claim.Held.IsEmpty)
        {
            claim.Node = _guests.AddLast(claim);
        }
    }

    // The lowest unit in the range that a copy claims or stores.
    private (RangeCopy Copy, int Unit)? FindFirstLocked(ByteRange range)
    {
        (RangeCopy, int)? first = null;
        long lowest = range.End;
        foreach (RangeCopy copy in _copies)
        {
            if (!copy.Range.Overlaps(range) || copy.Range.Offset >= lowest)
            {
                continue;
            }

            for (int unit = copy.UnitAt(Math.Max(copy.Range.Offset, range.Offset)); unit < copy.UnitCount; unit++)
            {
                long offset = copy.UnitRange(unit).Offset;
                if (offset >= lowest)
                {
                    break;
                }

                if (copy.StateLocked(unit) is RangeCopy.UnitState.Claimed or RangeCopy.UnitState.Storing)
                {
                    (first, lowest) = ((copy, unit), offset);
                    break;
                }
            }
        }

        return first;
    }
}
