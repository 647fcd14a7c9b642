using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>
/// Limits that the nodes of a group share. Requests wait in the order they came, the nodes of a group take turns, and so do reads and writes where both wait.
/// </summary>
/// <remarks>Free-threaded. The group lives as long as somebody holds it; its timer lives as long as a node is in it.</remarks>
public sealed class ThrottleGroup
{
    private const int Reads = 0;
    private const int Writes = 1;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly LinkedList<Member>[] _waiting = [new(), new()]; // guarded by _gate; members with requests that wait, next turn first
    private readonly LeakyBucket[] _buckets = new LeakyBucket[6];    // guarded by _gate; see LimitOf
    private ThrottleLimits _limits;  // guarded by _gate
    private long _leakedAt;          // guarded by _gate; timestamp of _time
    private int _lastServed = Writes; // guarded by _gate; a direction
    private int _members;            // guarded by _gate
    private ITimer? _timer;          // guarded by _gate

    /// <summary>An empty group.</summary>
    /// <param name="time">What time it is: that of the environment its nodes live in.</param>
    /// <param name="limits">What it limits.</param>
    /// <exception cref="ArgumentException">The limits contradict each other.</exception>
    public ThrottleGroup(TimeProvider time, ThrottleLimits limits)
    {
        limits.Validate();
        _time = time;
        _limits = limits;
        _leakedAt = time.GetTimestamp();
    }

    /// <summary>The limits. A change holds at once, for those too that wait already; what was used up stays used up.</summary>
    /// <exception cref="ArgumentException">The limits contradict each other; the old ones hold.</exception>
    public ThrottleLimits Limits
    {
        get
        {
            lock (_gate)
            {
                return _limits;
            }
        }

        set
        {
            value.Validate();
            lock (_gate)
            {
                LeakLocked(); // under the old limits
                _limits = value;
            }

            Serve();
        }
    }

    /// <summary>How many requests wait now.</summary>
    public int WaitingRequests
    {
        get
        {
            lock (_gate)
            {
                int count = 0;
                foreach (int direction in (ReadOnlySpan<int>)[Reads, Writes])
                {
                    count += _waiting[direction].Sum(member => member.Queues[direction].Count(static entry => !entry.Waiter.IsCancelled));
                }

                return count;
            }
        }
    }

    /// <summary>A node joins.</summary>
    internal Member Join()
    {
        lock (_gate)
        {
            if (_members++ == 0)
            {
                _timer = _time.CreateTimer(static group => ((ThrottleGroup)group!).Serve(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            }

            return new Member();
        }
    }

    /// <summary>A node leaves; it has no requests any more.</summary>
    internal void Leave()
    {
        lock (_gate)
        {
            if (--_members == 0)
            {
                _timer?.Dispose();
                _timer = null;
            }
        }
    }

    /// <summary>Waits until a request may go.</summary>
    /// <exception cref="OperationCanceledException">The token fired first; nothing was used up.</exception>
    internal ValueTask AdmitAsync(Member member, bool isWrite, long bytes, CancellationToken cancellationToken)
    {
        int direction = isWrite ? Writes : Reads;
        Entry entry;
        lock (_gate)
        {
            LeakLocked();
            if (member.Hastes > 0 || (_waiting[direction].Count == 0 && WaitLocked(direction) == 0))
            {
                FillLocked(direction, bytes);
                return ValueTask.CompletedTask;
            }

            entry = new Entry(new Waiter<bool>(), bytes);
            if (member.Queues[direction].Count == 0)
            {
                _waiting[direction].AddLast(member);
            }

            member.Queues[direction].Enqueue(entry);
            ArmLocked();
        }

        ValueTask turn = entry.Waiter.VoidTask;
        entry.Waiter.ArmCancellation(cancellationToken);
        return turn;
    }

    /// <summary>The requests of one node go now, and new ones at once, until <see cref="EndHaste"/>. They use up what they use up.</summary>
    internal void BeginHaste(Member member)
    {
        var woken = new List<Waiter<bool>>();
        lock (_gate)
        {
            member.Hastes++;
            LeakLocked();
            foreach (int direction in (ReadOnlySpan<int>)[Reads, Writes])
            {
                while (member.Queues[direction].TryDequeue(out Entry entry))
                {
                    GrantLocked(direction, entry, woken);
                }

                _waiting[direction].Remove(member);
            }
        }

        Wake(woken);
    }

    /// <summary>Undoes one <see cref="BeginHaste"/>.</summary>
    internal void EndHaste(Member member)
    {
        lock (_gate)
        {
            member.Hastes--;
        }
    }

    // Lets go whoever may, and sees to being called again for the next.
    private void Serve()
    {
        var woken = new List<Waiter<bool>>();
        lock (_gate)
        {
            LeakLocked();
            while (NextLocked() is { } direction)
            {
                Member member = _waiting[direction].First!.Value;
                _waiting[direction].RemoveFirst();
                GrantLocked(direction, member.Queues[direction].Dequeue(), woken);
                if (member.Queues[direction].Count > 0)
                {
                    _waiting[direction].AddLast(member);
                }

                _lastServed = direction;
            }

            ArmLocked();
        }

        Wake(woken);
    }

    // The direction whose turn it is, of those in which somebody waits and may go.
    private int? NextLocked()
    {
        foreach (int direction in (ReadOnlySpan<int>)[1 - _lastServed, _lastServed])
        {
            if (_waiting[direction].Count > 0 && WaitLocked(direction) == 0)
            {
                return direction;
            }
        }

        return null;
    }

    private void GrantLocked(int direction, Entry entry, List<Waiter<bool>> woken)
    {
        if (entry.Waiter.TryGrant(true))
        {
            FillLocked(direction, entry.Bytes);
            woken.Add(entry.Waiter);
        }
    }

    private static void Wake(List<Waiter<bool>> woken)
    {
        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Waiter<bool> waiter in woken)
        {
            ReadyList.Post(waiter);
        }
    }

    private void ArmLocked()
    {
        double wait = double.PositiveInfinity;
        foreach (int direction in (ReadOnlySpan<int>)[Reads, Writes])
        {
            if (_waiting[direction].Count > 0)
            {
                wait = Math.Min(wait, WaitLocked(direction));
            }
        }

        if (!double.IsPositiveInfinity(wait))
        {
            // Timers cut fractions of milliseconds off, and would ring too early; the longest wait is in reach of every timer.
            _timer?.Change(TimeSpan.FromMilliseconds(Math.Clamp(Math.Ceiling(wait * 1000), 0, int.MaxValue)), Timeout.InfiniteTimeSpan);
        }
    }

    private void LeakLocked()
    {
        long now = _time.GetTimestamp();
        double seconds = _time.GetElapsedTime(_leakedAt, now).TotalSeconds;
        _leakedAt = now;
        for (int i = 0; i < _buckets.Length; i++)
        {
            _buckets[i].Leak(LimitOf(i), seconds);
        }
    }

    private double WaitLocked(int direction)
    {
        double wait = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            wait = Concerns(i, direction) ? Math.Max(wait, _buckets[i].Wait(LimitOf(i))) : wait;
        }

        return wait;
    }

    private void FillLocked(int direction, long bytes)
    {
        double operations = _limits.OperationSize > 0 ? Math.Max(1, (double)bytes / _limits.OperationSize) : 1;
        for (int i = 0; i < _buckets.Length; i++)
        {
            if (Concerns(i, direction))
            {
                _buckets[i].Fill(LimitOf(i), i < 3 ? bytes : operations);
            }
        }
    }

    private static bool Concerns(int bucket, int direction) => bucket % 3 is var kind && (kind == 0 || kind - 1 == direction);

    private ThrottleLimit LimitOf(int bucket) => bucket switch
    {
        0 => _limits.Bytes,
        1 => _limits.ReadBytes,
        2 => _limits.WriteBytes,
        3 => _limits.Operations,
        4 => _limits.ReadOperations,
        _ => _limits.WriteOperations,
    };

    /// <summary>One node of the group and its requests that wait; all of it guarded by the group's gate.</summary>
    internal sealed class Member
    {
        internal Queue<Entry>[] Queues { get; } = [new(), new()];

        internal int Hastes { get; set; }
    }

    /// <summary>One request that waits.</summary>
    internal readonly record struct Entry(Waiter<bool> Waiter, long Bytes);
}
