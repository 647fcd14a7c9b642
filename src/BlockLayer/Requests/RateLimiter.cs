namespace BlockLayer.Requests;

/// <summary>
/// Limits a flow of bytes in slices of time, the way QEMU's jobs do: what is over a slice's quota is paid by sleeping afterwards, so one step may
/// exceed the quota, and a pause is not saved up for a burst.
/// </summary>
internal sealed class RateLimiter
{
    /// <summary>Length of a slice.</summary>
    internal static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(100);

    private readonly TimeProvider _time;
    private readonly WakeableDelay _delay;
    private readonly Lock _gate = new();
    private long _bytesPerSecond; // guarded by _gate
    private long _sliceStart;     // guarded by _gate; timestamp of the provider
    private long _dispatched;     // guarded by _gate; bytes of this slice
    private bool _hasSlice;       // guarded by _gate

    /// <summary>A limiter; 0 bytes per second is no limit.</summary>
    internal RateLimiter(TimeProvider time, long bytesPerSecond)
    {
        _time = time;
        _delay = new WakeableDelay(time);
        _bytesPerSecond = bytesPerSecond;
    }

    /// <summary>The limit; 0 is none. A change wakes a sleeper, who then sleeps for what is left under the new limit.</summary>
    internal long BytesPerSecond
    {
        get
        {
            lock (_gate)
            {
                return _bytesPerSecond;
            }
        }

        set
        {
            lock (_gate)
            {
                _bytesPerSecond = value;
            }

            _delay.Wake();
        }
    }

    /// <summary>Accounts bytes that were moved.</summary>
    internal void Account(long bytes)
    {
        lock (_gate)
        {
            StartSliceIfOver();
            _dispatched += bytes;
        }
    }

    /// <summary>Makes a sleeper look again whether it has to go on sleeping.</summary>
    internal void Wake() => _delay.Wake();

    /// <summary>Sleeps until the bytes accounted so far are within the limit.</summary>
    /// <param name="hasToStop">Asked before each sleep, which <see cref="Wake"/> ends; null: nothing but the limit counts.</param>
    /// <param name="cancellationToken">Ends the sleep.</param>
    /// <returns>False: <paramref name="hasToStop"/> said so, and the limit may still be exceeded.</returns>
    /// <exception cref="OperationCanceledException">The token fired first.</exception>
    internal async ValueTask<bool> WaitAsync(Func<bool>? hasToStop, CancellationToken cancellationToken)
    {
        while (true)
        {
            long wakes = _delay.Wakes;
            TimeSpan debt = Debt();
            if (debt <= TimeSpan.Zero)
            {
                return true;
            }

            if (hasToStop?.Invoke() == true)
            {
                return false;
            }

            await _delay.SleepAsync(debt, wakes, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>How long from now until the bytes accounted so far are within the limit; not positive if they are.</summary>
    internal TimeSpan Debt()
    {
        lock (_gate)
        {
            if (_bytesPerSecond <= 0 || !_hasSlice)
            {
                return TimeSpan.Zero;
            }

            double quota = Math.Max(1, _bytesPerSecond * Slice.TotalSeconds);
            return _dispatched <= quota ? TimeSpan.Zero : (Slice * (_dispatched / quota)) - _time.GetElapsedTime(_sliceStart);
        }
    }

    private void StartSliceIfOver()
    {
        double quota = Math.Max(1, _bytesPerSecond * Slice.TotalSeconds);
        TimeSpan paid = _bytesPerSecond <= 0 ? Slice : Slice * Math.Max(1, _dispatched / quota);
        if (!_hasSlice || _time.GetElapsedTime(_sliceStart) >= paid)
        {
            _sliceStart = _time.GetTimestamp();
            _dispatched = 0;
            _hasSlice = true;
        }
    }
}
