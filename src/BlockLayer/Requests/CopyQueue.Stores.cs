using BlockLayer.Primitives;

namespace BlockLayer.Requests;

// The end of a copy: its stores, and who goes on when a unit is let go.
internal sealed partial class CopyQueue
{
    /// <summary>The next run of units to store: contiguous, not cancelled, and marked so that nobody cancels them any more. False: nothing is left.</summary>
    internal bool TryBeginStore(RangeCopy copy, out ByteRange range)
    {
        bool zeroes = copy.Source.IsEmpty;
        int most = Math.Max(1, (zeroes ? ZeroStoreLength : StoreLength) / UnitSize);
        lock (_gate)
        {
            int unit = 0;
            while (unit < copy.UnitCount && copy.StateLocked(unit) != RangeCopy.UnitState.Claimed)
            {
                if (copy.StateLocked(unit) == RangeCopy.UnitState.Cancelled)
                {
                    copy.SetStateLocked(unit, RangeCopy.UnitState.Released);
                }

                unit++;
            }

            int first = unit;
            for (; unit < copy.UnitCount && unit - first < most && copy.StateLocked(unit) == RangeCopy.UnitState.Claimed; unit++)
            {
                copy.SetStateLocked(unit, RangeCopy.UnitState.Storing);
            }

            if (unit == first)
            {
                range = default;
                return false;
            }

            range = new ByteRange(copy.UnitRange(first).Offset, copy.UnitRange(unit - 1).End - copy.UnitRange(first).Offset);
            return true;
        }
    }

    /// <summary>Lets units go whose store is over, well or badly, and hands them to the guests that wait.</summary>
    internal void EndStore(RangeCopy copy, ByteRange range, Exception? error)
    {
        List<Waiter<bool>>? woken = null;
        long stored = error is null ? copy.LengthIn(range) : 0;
        lock (_gate)
        {
            copy.StoredBytes += stored;
            _storedBytes += stored;
            for (int unit = copy.UnitAt(range.Offset); unit < copy.UnitCount && copy.UnitRange(unit).Offset < range.End; unit++)
            {
                long offset = copy.UnitRange(unit).Offset;
                if (error is null)
                {
                    _failures.Remove(offset);
                }
                else
                {
                    _failures[offset] = _failures.GetValueOrDefault(offset) + 1;
                    _failedStores++;
                }

                ReleaseLocked(copy, unit, ref woken);
            }
        }

        Wake(woken);
    }

    /// <summary>Ends a copy that was fetched: units that were not stored are let go, and whoever waits for the copy goes on.</summary>
    internal void Finish(RangeCopy copy)
    {
        End(copy);
        using ReadyList.Scope scope = ReadyList.Enter();
        copy.Finished.Complete();
        DropUser(copy);
    }

    /// <summary>Ends a copy whose fetch failed; those who wait for its bytes get the error.</summary>
    internal void Abandon(RangeCopy copy, Exception error)
    {
        End(copy);
        using ReadyList.Scope scope = ReadyList.Enter();
        copy.Fetched.Fail(error);
        copy.Finished.Complete();
        DropUser(copy);
    }

    /// <summary>Ends one use of a copy's bytes.</summary>
    internal void DropUser(RangeCopy copy)
    {
        bool last;
        lock (_gate)
        {
            last = copy.DropUserLocked();
        }

        if (last)
        {
            copy.ReturnBuffer();
            Memory.Release(copy.Reserved);
        }
    }

    /// <summary>Waits for the stores of all copies whose readers may have been answered already.</summary>
    internal async ValueTask WhenStoredAsync()
    {
        RangeCopy[] fetched;
        lock (_gate)
        {
            fetched = _copies.Count == 0 ? [] : [.. _copies.Where(copy => copy.Fetched.IsCompleted)];
        }

        foreach (RangeCopy copy in fetched)
        {
            await copy.Finished.WaitAsync().ConfigureAwait(false);
        }
    }

    private void ReleaseLocked(RangeCopy copy, int unit, ref List<Waiter<bool>>? woken)
    {
        copy.SetStateLocked(unit, RangeCopy.UnitState.Released);
        if (copy.TakeWaitersLocked(unit) is not { } waiters)
        {
            return;
        }

        foreach (GuestClaim claim in waiters)
        {
            if (claim.Waiter!.TryGrant(true))
            {
                Hold(claim, copy.UnitRange(unit).End); // before the lock is left: no copy comes between
                (woken ??= []).Add(claim.Waiter);
            }
        }
    }

    private void End(RangeCopy copy)
    {
        List<Waiter<bool>>? woken = null;
        lock (_gate)
        {
            for (int unit = 0; unit < copy.UnitCount; unit++)
            {
                ReleaseLocked(copy, unit, ref woken);
            }

            _copies.Remove(copy);
        }

        Wake(woken);
    }

    private static void Wake(List<Waiter<bool>>? woken)
    {
        if (woken is null)
        {
            return;
        }

        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Waiter<bool> waiter in woken)
        {
            ReadyList.Post(waiter);
        }
    }
}
