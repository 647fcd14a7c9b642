using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// The clock of a simulation. Time stands still while anything can run and then jumps to the next timer or request, so an hour of waiting costs
/// nothing. Timer callbacks are steps of the simulation: they run on its thread, one at a time, never inside other code.
/// </summary>
public sealed class VirtualTimeProvider : TimeProvider
{
    internal const long NanosecondsPerTick = 100;

    private readonly SimulationScheduler _scheduler;
    private readonly DateTimeOffset _epoch;

    internal VirtualTimeProvider(SimulationScheduler scheduler, DateTimeOffset epoch)
    {
        _scheduler = scheduler;
        _epoch = epoch;
    }

    /// <summary>A billion: timestamps are nanoseconds of virtual time.</summary>
    public override long TimestampFrequency => 1_000_000_000;

    /// <summary>Coordinated universal time always, so that no machine's setting shows through.</summary>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <summary>Virtual time since the simulation began, in nanoseconds.</summary>
    public override long GetTimestamp() => _scheduler.Now;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _epoch.AddTicks(_scheduler.Now / NanosecondsPerTick);

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(_scheduler, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    internal static long ToNanoseconds(TimeSpan time) => checked(time.Ticks * NanosecondsPerTick);

    private sealed class Timer(SimulationScheduler scheduler, TimerCallback callback, object? state) : ITimer
    {
        private Alarm? _alarm; // the one that counts; replaced ones find themselves stale
        private bool _disposed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            if (_disposed)
            {
                return false;
            }

            ArgumentOutOfRangeException.ThrowIfLessThan(dueTime, Timeout.InfiniteTimeSpan);
            ArgumentOutOfRangeException.ThrowIfLessThan(period, Timeout.InfiniteTimeSpan);
            _alarm = null;
            if (dueTime >= TimeSpan.Zero)
            {
                Arm(dueTime, period);
            }

            return true;
        }

        public void Dispose()
        {
            _disposed = true;
            _alarm = null;
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Arm(TimeSpan dueTime, TimeSpan period)
        {
            _alarm = new Alarm(this, period);
            scheduler.Schedule(_alarm, ToNanoseconds(dueTime));
        }

        private void Ring(Alarm alarm)
        {
            if (_alarm != alarm)
            {
                return;
            }

            // A period of zero or none means once, as for the system's timers.
            if (alarm.Period > TimeSpan.Zero)
            {
                Arm(alarm.Period, alarm.Period);
            }

            callback(state);
        }

        private sealed class Alarm(Timer timer, TimeSpan period) : ReadyItem, ICancellableStep
        {
            internal TimeSpan Period { get; } = period;

            public bool IsCancelled => timer._alarm != this;

            internal override void Run() => timer.Ring(this);

            public override string ToString() => "timer";
        }
    }
}
