using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// Counts the requests inside a node, tells when there are none, and tells when all that were inside at some moment have left. Entering and leaving
/// are one interlocked operation each, spread over several cache lines so that two submitting threads do not share one.
/// </summary>
/// <remarks>
/// Epochs: a request enters the current epoch <c>E</c>. <see cref="TryAdvanceEpoch"/> moves to <c>E+1</c> once nobody is left in <c>E-1</c>. So what was
/// unpublished during epoch <c>E</c> is out of every request's sight when the current epoch is at least <c>E+2</c>. Nobody waits for an epoch: an
/// allocator that wanted to would itself be the request it waits for.
/// <code>
///   enter: entered[E &amp; 1]++ ; re-read E, and step back out if it moved meanwhile
///   exit:  left[E of the request &amp; 1]++
/// </code>
/// Both counters only grow, and whoever asks sums all that left before all that entered. If the sums agree, there was a moment between the two with
/// nobody inside. One counter that went up and down could not tell: a request that hands over to another one is missed on the stripe that was looked
/// at too late, and its successor on the one that was looked at too early.
/// </remarks>
internal sealed class RequestGate
{
    private const int StripeCount = 4;
    private const int StripeSpacing = 32; // ints: 128 bytes, two cache lines, because adjacent lines are fetched in pairs

    private const int Left = 2; // from a slot's count of entries to its count of exits

    private readonly uint[] _counts = new uint[(StripeCount + 1) * StripeSpacing]; // interlocked; they wrap around, only differences count
    private readonly Lock _lock = new();
    private readonly List<Waiter<bool>> _idleWaiters = []; // guarded by _lock
    private long _epoch;                                   // interlocked
    private int _watchers;                                 // interlocked; number of idle waiters, so that leaving stays cheap without any

    /// <summary>The epoch that requests enter now. What was unpublished before this is read is out of the sight of all that enter a later one.</summary>
    internal long Epoch
    {
        get
        {
            // Else the unpublishing could become visible after the read, to a request that has entered the next epoch by then.
            Interlocked.MemoryBarrier();
            return Volatile.Read(ref _epoch);
        }
    }

    /// <summary>True when there was a moment during the call with no request inside.</summary>
    internal bool IsIdle
    {
        get
        {
            uint left = Sum(Left, 0) + Sum(Left, 1);
            return left == Sum(0, 0) + Sum(0, 1);
        }
    }

    /// <summary>Counts a request in. The result goes to <see cref="Exit"/>.</summary>
    internal int Enter()
    {
        int stripe = ((Environment.CurrentManagedThreadId & (StripeCount - 1)) + 1) * StripeSpacing;
        while (true)
        {
            long epoch = Volatile.Read(ref _epoch);
            int slot = stripe + (int)(epoch & 1);
            Interlocked.Increment(ref _counts[slot]);
            if (Volatile.Read(ref _epoch) == epoch)
            {
                return slot;
            }

            Exit(slot);
        }
    }

    /// <summary>Counts a request out.</summary>
    internal void Exit(int slot)
    {
        Interlocked.Increment(ref _counts[slot + Left]);
        if (Volatile.Read(ref _watchers) != 0)
        {
            WakeIfIdle();
        }
    }

    /// <summary>Moves to the next epoch if everybody has left the previous one.</summary>
    internal bool TryAdvanceEpoch()
    {
        long epoch = Volatile.Read(ref _epoch);
        int previous = (int)((epoch + 1) & 1);
        uint left = Sum(Left, previous);
        return left == Sum(0, previous) && Interlocked.CompareExchange(ref _epoch, epoch + 1, epoch) == epoch;
    }

    /// <summary>Waits for a moment without requests. The caller keeps new ones out if the moment is to last.</summary>
    internal ValueTask WhenIdleAsync()
    {
        Waiter<bool> waiter;
        lock (_lock)
        {
            waiter = new Waiter<bool>();
            _idleWaiters.Add(waiter);
            Interlocked.Increment(ref _watchers);
        }

        ValueTask task = waiter.VoidTask;
        WakeIfIdle();
        return task;
    }

    private uint Sum(int counter, int parity)
    {
        uint sum = 0;
        for (int stripe = 1; stripe <= StripeCount; stripe++)
        {
            sum += Volatile.Read(ref _counts[(stripe * StripeSpacing) + counter + parity]);
        }

        return sum;
    }

    private void WakeIfIdle()
    {
        Waiter<bool>[] woken;
        lock (_lock)
        {
            if (_idleWaiters.Count == 0 || !IsIdle)
            {
                return;
            }

            woken = [.. _idleWaiters];
            _idleWaiters.Clear();
            Interlocked.Add(ref _watchers, -woken.Length);
        }

        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Waiter<bool> waiter in woken)
        {
            if (waiter.TryGrant(true))
            {
                ReadyList.Post(waiter);
            }
        }
    }
}
