using System.Runtime.CompilerServices;
using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// Guests go first: a background job starts a step only when few guest requests wait, but it is never starved: one step every <see cref="Guarantee"/>.
/// </summary>
/// <remarks>
/// A guest that has just been answered usually asks again at once, and would find the disk busy with a step that began in between. So for the time of
/// <see cref="Grace"/> an answered request still counts as waiting. Requests that complete at once are not counted: they do not use the disk.
/// </remarks>
internal sealed class GuestPriority
{
    /// <summary>The longest a job is held back by guests.</summary>
    internal static readonly TimeSpan Guarantee = TimeSpan.FromMilliseconds(100);

    /// <summary>How long an answered guest is expected back.</summary>
    internal static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(1);

    private readonly TimeProvider _time;
    private readonly int _limit;
    private int _guests;         // interlocked; requests that wait
    private int _lastDepth;      // volatile; how many waited when the last one was answered, itself included
    private long _lastDeparture; // volatile; when that was, a timestamp of the provider
    private long _lastStep;      // of the one job; a timestamp of the provider

    /// <param name="time">For grace and guarantee.</param>
    /// <param name="limit">The job waits while this many guest requests, or more, are waiting.</param>
    internal GuestPriority(TimeProvider time, int limit)
    {
        _time = time;
        _limit = limit;
        _lastStep = time.GetTimestamp();
        _lastDeparture = _lastStep - (long)(Guarantee.TotalSeconds * time.TimestampFrequency); // nobody is expected back
    }

    /// <summary>Guest requests that wait now.</summary>
    internal int Guests => Volatile.Read(ref _guests);

    /// <summary>True when no guest request has waited for the time of <see cref="Guarantee"/>: a job may use the disk as if it were its own.</summary>
    internal bool IsQuiet => Guests == 0 && _time.GetElapsedTime(Volatile.Read(ref _lastDeparture)) >= Guarantee;

    /// <summary>Counts a guest's request that did not complete at once.</summary>
    internal void Enter() => Interlocked.Increment(ref _guests);

    /// <summary>Counts it out.</summary>
    internal void Leave()
    {
        Volatile.Write(ref _lastDeparture, _time.GetTimestamp());
        Volatile.Write(ref _lastDepth, Interlocked.Decrement(ref _guests) + 1);
    }

    /// <summary>Counts a request as long as it waits. One that completes at once never does: it holds no job back and is not counted.</summary>
    internal ValueTask Counted(ValueTask request) => request.IsCompletedSuccessfully ? request : CountedAsync(request);

    /// <summary>Waits for the job's turn. One job at a time.</summary>
    /// <exception cref="OperationCanceledException">The token fired first.</exception>
    internal async ValueTask WaitForTurnAsync(CancellationToken cancellationToken)
    {
        while (Waiting() >= _limit && _time.GetElapsedTime(_lastStep) < Guarantee)
        {
            await Pause.ForAsync(Grace, _time, cancellationToken).ConfigureAwait(false);
        }

        _lastStep = _time.GetTimestamp();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask CountedAsync(ValueTask request)
    {
        Enter();
        try
        {
            await request.ConfigureAwait(false);
        }
        finally
        {
            Leave();
        }
    }

    private int Waiting()
    {
        bool expectedBack = _time.GetElapsedTime(Volatile.Read(ref _lastDeparture)) < Grace;
        return expectedBack ? Math.Max(Guests, Volatile.Read(ref _lastDepth)) : Guests;
    }
}
