using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// The write queue: who fetches, who waits and who is cancelled while an image is filled from below and guests read and write it. It knows ranges and
/// moves no data.
/// </summary>
/// <remarks>
/// <para>That a copy never overwrites what a guest wrote does not depend on it: the destination stores a copy only where nothing is allocated. The queue
/// adds that nothing is fetched twice and that nobody waits longer than for one store.</para>
/// <list type="number">
/// <item>Claims are ranges of whole units. Guest claims are shared among guests; a copy is exclusive. A unit has at most one copy.</item>
/// <item>A guest takes its units in ascending order and waits only for copies. A copy never waits for a claim: where a guest is, it does not copy. So
/// there is no circle of waiters: copies end, then guests go on.</item>
/// <item>Memory is reserved before the claim, all or nothing. A guest's read that gets none is read through.</item>
/// <item>While a copy holds a unit's bytes, readers are answered from them; nobody else reads the source.</item>
/// <item>After <see cref="FailuresBeforeReadThrough"/> failed stores a unit is read through until a job tries it again.</item>
/// <item>A unit can be cancelled until its store starts; a store of data covers at most <see cref="StoreLength"/> bytes.</item>
/// <item>A unit that a copy gives up is handed to the guests that wait for it before the lock is left, so no new copy comes between.</item>
/// </list>
/// </remarks>
internal sealed partial class CopyQueue
{
    /// <summary>The longest piece of a request that is planned, claimed and copied at once, in bytes; one unit if that is longer.</summary>
    internal const int PieceLength = 1024 * 1024;

    /// <summary>The most data stored at once, in bytes; one unit if that is longer. Bounds how long a guest's write waits.</summary>
    internal const int StoreLength = 512 * 1024;

    /// <summary>The most zeroes stored at once, in bytes: no data moves, so the bound is on table updates.</summary>
    internal const int ZeroStoreLength = 32 * 1024 * 1024;

    /// <summary>The least that is copied at once, in bytes.</summary>
    internal const int MinUnitSize = 64 * 1024;

    /// <summary>How many stores of a unit fail before guests' reads stop trying.</summary>
    internal const int FailuresBeforeReadThrough = 3;

    private readonly CopyStrategy _strategy;
    private readonly Lock _gate = new();
    private readonly List<RangeCopy> _copies = [];            // guarded by _gate
    private readonly LinkedList<GuestClaim> _guests = new();  // guarded by _gate; claims that hold something
    private readonly Dictionary<long, int> _failures = [];    // guarded by _gate; failed stores by offset of the unit

    // Counters, guarded by _gate; their meaning stands at CopyStatistics.
    private long _copiesBegun;
    private long _storedBytes;
    private long _joined;
    private long _cancelled;
    private long _revived;
    private long _guestWaits;
    private long _withoutMemory;
    private long _failedStores;

    /// <summary>An empty queue.</summary>
    /// <param name="unitSize">Bytes; a power of two, at least the destination's cluster.</param>
    /// <param name="memoryLimit">Bytes that copies in flight may hold; one unit always fits.</param>
    /// <param name="strategy">Its choices.</param>
    internal CopyQueue(int unitSize, long memoryLimit, CopyStrategy strategy)
    {
        UnitSize = unitSize;
        Memory = new CopyMemory(Math.Max(memoryLimit, unitSize));
        _strategy = strategy;
    }

    /// <summary>What is copied or left as a whole, in bytes.</summary>
    internal int UnitSize { get; }

    /// <summary>What copies in flight may hold.</summary>
    internal CopyMemory Memory { get; }

    /// <summary>The choices.</summary>
    internal CopyStrategy Strategy => _strategy;

    /// <summary>The longest piece, in whole units.</summary>
    internal int MaxPiece => Math.Max(PieceLength, UnitSize);

    /// <summary>What it has done so far.</summary>
    internal CopyStatistics Statistics
    {
        get
        {
            lock (_gate)
            {
                return new CopyStatistics
                {
                    Copies = _copiesBegun,
                    StoredBytes = _storedBytes,
                    Joined = _joined,
                    Cancelled = _cancelled,
                    Revived = _revived,
                    GuestWaits = _guestWaits,
                    WithoutMemory = _withoutMemory,
                    FailedStores = _failedStores,
                };
            }
        }
    }

    /// <summary>True when nobody claims anything; for assertions.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_gate)
            {
                return _copies.Count == 0 && _guests.Count == 0;
            }
        }
    }

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
        lock (_gate)
        {
            for (int unit = copy.UnitAt(range.Offset); unit < copy.UnitCount && copy.UnitRange(unit).Offset < range.End; unit++)
            {
                long offset = copy.UnitRange(unit).Offset;
                if (error is null)
                {
                    _failures.Remove(offset);
                    copy.StoredBytes += copy.UnitRange(unit).Length;
                    _storedBytes += copy.UnitRange(unit).Length;
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
