namespace BlockLayer.Requests;

/// <summary>
/// Guests go first: a background job starts a step only when few guest requests wait, but it is never starved: one step every <see cref="Guarantee"/>.
/// </summary>
internal sealed class GuestPriority
{
    /// <summary>The longest a job is held back by guests.</summary>
    internal static readonly TimeSpan Guarantee = TimeSpan.FromMilliseconds(100);

    private readonly TimeProvider _time;
    private readonly WakeableDelay _delay;
    private readonly int _limit;
    private int _guests;     // interlocked; requests that did not complete at once
    private long _arrivals;  // interlocked; how many there have been
    private bool _jobWaits;  // volatile
    private long _lastStep;  // of the one job; timestamp of the provider

    /// <param name="time">For the guarantee.</param>
    /// <param name="limit">The job waits while this many guest requests, or more, are waiting.</param>
    internal GuestPriority(TimeProvider time, int limit)
    {
        _time = time;
        _delay = new WakeableDelay(time);
        _limit = limit;
        _lastStep = time.GetTimestamp();
    }

    /// <summary>Guest requests that wait now.</summary>
    internal int Guests => Volatile.Read(ref _guests);

    /// <summary>Guest requests that have waited so far; unchanged between two looks: nobody did.</summary>
    internal long Arrivals => Interlocked.Read(ref _arrivals);

    /// <summary>Counts a guest's request that did not complete at once.</summary>
    internal void Enter()
    {
        Interlocked.Increment(ref _arrivals);
        Interlocked.Increment(ref _guests);
    }

    /// <summary>Counts it out.</summary>
    internal void Leave()
    {
        if (Interlocked.Decrement(ref _guests) < _limit && Volatile.Read(ref _jobWaits))
        {
            _delay.Wake();
        }
    }

    /// <summary>Waits for the job's turn. One job at a time.</summary>
    /// <exception cref="OperationCanceledException">The token fired first.</exception>
    internal async ValueTask WaitForTurnAsync(CancellationToken cancellationToken)
    {
        Volatile.Write(ref _jobWaits, true);
        while (true)
        {
            long wakes = _delay.Wakes;
            TimeSpan left = Guarantee - _time.GetElapsedTime(_lastStep);
            if (Guests < _limit || left <= TimeSpan.Zero)
            {
                break;
            }

            await _delay.SleepAsync(left, wakes, cancellationToken).ConfigureAwait(false);
        }

        Volatile.Write(ref _jobWaits, false);
        _lastStep = _time.GetTimestamp();
    }
}
