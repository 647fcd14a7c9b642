using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The NEED_CHECK bit: on disk before the first cluster is allocated, off again when none has been allocated for a while or the image is closed. It costs a
/// flush each way, so it is never touched by a flush of the guest.
/// </summary>
/// <remarks>
/// <code>
///   clear --first Enter--> setting --header durable--> set --idle, or closing--> clearing --tables and header durable--> clear
///     ^                      | failed                   ^                          | failed
///     '----------------------'                          '--------------------------'
/// </code>
/// Allocations happen only in the state set; one that comes while the bit changes waits. Clearing starts only when no allocation is inside.
/// </remarks>
internal sealed class NeedCheck : IAsyncDisposable
{
    private readonly HeaderSector _header;
    private readonly TableWriter _writer;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private State _state;            // guarded by _gate
    private int _inside;             // guarded by _gate; allocations in flight
    private long _idleSince;         // guarded by _gate; timestamp of _time
    private bool _isTimed;           // guarded by _gate; the timer will call
    private Completion? _changing;   // guarded by _gate; set while the bit changes

    /// <param name="header">Where the bit is.</param>
    /// <param name="writer">Makes durable what the bit covers.</param>
    /// <param name="time">Measures the idle time.</param>
    /// <param name="onIdle">Called when clearing may be due, on the timer's thread; it is to call <see cref="ClearIfIdleAsync"/> soon.</param>
    internal NeedCheck(HeaderSector header, TableWriter writer, TimeProvider time, Action onIdle)
    {
        _header = header;
        _writer = writer;
        _time = time;
        _state = header.Current.NeedsCheck ? State.Set : State.Clear;
        _timer = time.CreateTimer(static state => ((Action)state!)(), onIdle, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _idleSince = time.GetTimestamp();
    }

    private enum State
    {
        Clear,
        Setting,
        Set,
        Clearing,
    }

    /// <summary>Waits until the bit is on disk. Dispose the result when the allocation is published or given up.</summary>
    /// <exception cref="Errors.BlockLayerException">The header could not be written or flushed.</exception>
    internal async ValueTask<Inside> EnterAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Completion? changing;
            lock (_gate)
            {
                if (_state == State.Set)
                {
                    _inside++;
                    return new Inside(this);
                }

                changing = _changing;
                if (changing is null)
                {
                    BeginChangeLocked(State.Setting);
                }
            }

            if (changing is null)
            {
                await ChangeAsync(State.Set, State.Clear, SetAsync).ConfigureAwait(false);
            }
            else
            {
                await changing.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Starts the idle time of an image that was opened with the bit set.</summary>
    internal void StartIdleTime()
    {
        lock (_gate)
        {
            if (_state == State.Set)
            {
                ArmLocked(QedLimits.NeedCheckIdleTime);
            }
        }
    }

    /// <summary>Clears the bit if nothing was allocated for the idle time; else sees to being called again.</summary>
    internal ValueTask ClearIfIdleAsync()
    {
        lock (_gate)
        {
            _isTimed = false;
            if (_state != State.Set || _inside > 0)
            {
                return ValueTask.CompletedTask; // whoever is inside arms the timer on leaving
            }

            TimeSpan left = QedLimits.NeedCheckIdleTime - _time.GetElapsedTime(_idleSince);
            if (left > TimeSpan.Zero)
            {
                ArmLocked(left);
                return ValueTask.CompletedTask;
            }

            BeginChangeLocked(State.Clearing);
        }

        return ChangeAsync(State.Clear, State.Set, ClearAsync);
    }

    /// <summary>Makes everything durable and clears the bit if it is set. No allocation is inside and none will come.</summary>
    internal async ValueTask CloseAsync()
    {
        bool set;
        lock (_gate)
        {
            set = _state == State.Set;
            if (set)
            {
                BeginChangeLocked(State.Clearing);
            }
        }

        if (set)
        {
            await ChangeAsync(State.Clear, State.Set, ClearAsync).ConfigureAwait(false);
        }
        else
        {
            await _header.SettleAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Stops the timer and waits for its callback.</summary>
    public ValueTask DisposeAsync() => _timer.DisposeAsync();

    private ValueTask SetAsync() => _header.UpdateAsync(static header => header with { Features = header.Features | QedFeatures.NeedCheck });

    private async ValueTask ClearAsync()
    {
        await _writer.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await _header.UpdateAsync(static header => header with { Features = header.Features & ~QedFeatures.NeedCheck }).ConfigureAwait(false);
    }

    private void BeginChangeLocked(State state)
    {
        _state = state;
        _changing = new Completion();
    }

    // After a failure those who waited try for themselves: the next Enter sets again, the next idle time clears again.
    private async ValueTask ChangeAsync(State success, State failure, Func<ValueTask> change)
    {
        State reached = failure;
        try
        {
            await change().ConfigureAwait(false);
            reached = success;
        }
        finally
        {
            Completion changing;
            lock (_gate)
            {
                _state = reached;
                changing = _changing!;
                _changing = null;
            }

            changing.Complete();
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            _idleSince = _time.GetTimestamp();
            if (--_inside == 0 && !_isTimed)
            {
                ArmLocked(QedLimits.NeedCheckIdleTime);
            }
        }
    }

    private void ArmLocked(TimeSpan due) => _isTimed = _timer.Change(due, Timeout.InfiniteTimeSpan);

    /// <summary>One allocation; dispose exactly once.</summary>
    internal readonly struct Inside(NeedCheck owner) : IDisposable
    {
        public void Dispose() => owner.Leave();
    }
}
