using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>A sleep that anybody can end early. One sleeper at a time.</summary>
internal sealed class WakeableDelay
{
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(1); // a timer takes at most 2^32-2 ms

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private Waiter<bool>? _sleeper; // guarded by _gate
    private long _wakes;            // guarded by _gate

    internal WakeableDelay(TimeProvider time) => _time = time;

    /// <summary>How often <see cref="Wake"/> was called: read it before deciding to sleep.</summary>
    internal long Wakes
    {
        get
        {
            lock (_gate)
            {
                return _wakes;
            }
        }
    }

    /// <summary>
    /// Sleeps, at least for whole milliseconds and at most for a day. True: the time is over; false: somebody called <see cref="Wake"/> since
    /// <paramref name="wakesSeen"/>.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token fired first.</exception>
    internal async ValueTask<bool> SleepAsync(TimeSpan duration, long wakesSeen, CancellationToken cancellationToken)
    {
        var sleeper = new Waiter<bool>();
        lock (_gate)
        {
            if (_wakes != wakesSeen)
            {
                return false;
            }

            _sleeper = sleeper;
        }

        duration = duration < s_longest ? TimeSpan.FromMilliseconds(Math.Ceiling(duration.TotalMilliseconds)) : s_longest; // timers cut fractions off: less would be a busy loop

        ValueTask<bool> sleep = sleeper.Task;
        ITimer timer = _time.CreateTimer(static state => Settle((Waiter<bool>)state!, overslept: true), sleeper, duration, Timeout.InfiniteTimeSpan);
        await using (timer.ConfigureAwait(false))
        {
            sleeper.ArmCancellation(cancellationToken);
            return await sleep.ConfigureAwait(false);
        }
    }

    /// <summary>Ends the sleep of whoever sleeps now.</summary>
    internal void Wake()
    {
        Waiter<bool>? sleeper;
        lock (_gate)
        {
            _wakes++;
            sleeper = _sleeper;
        }

        if (sleeper is not null)
        {
            Settle(sleeper, overslept: false);
        }
    }

    private static void Settle(Waiter<bool> sleeper, bool overslept)
    {
        if (sleeper.TryGrant(overslept))
        {
            ReadyList.Post(sleeper);
        }
    }
}
