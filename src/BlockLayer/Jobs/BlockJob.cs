using System.Diagnostics.CodeAnalysis;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>
/// A long operation on a graph that guests go on using: started once, paused, resumed, slowed down, completed and cancelled at will, and concluded once.
/// </summary>
/// <remarks>
/// <para>A job works in steps. Between two steps it looks whether it is to pause or to end, and waits where a drain or the rate limit tells it to, with
/// nothing in flight. So pausing and cancelling take effect after the step under way.</para>
/// <para>States, verbs and events are those of QEMU's jobs (<see cref="JobTransitions"/>, <see cref="JobVerbs"/>): a single job is a transaction of one
/// (<see cref="JobTransaction"/>). A verb that the present state does not take throws a <see cref="JobVerbException"/> and changes nothing.</para>
/// <para>The lock guards the state and what users wish; events are raised and waiters woken after it is left.</para>
/// </remarks>
[SuppressMessage("Design", "CA1001", Justification = "The source is never disposed: a late Cancel may come, and it holds no timer.")]
public abstract partial class BlockJob : IGraphUser
{
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _cancellation = new();
    private readonly TaskCompletionSource<JobResult> _completion = new();
    private readonly JobOptions _options;
    private readonly Func<bool> _isToPause;
    private long _current; // interlocked

    private protected BlockJob(JobOptions options, BlockNode disk)
    {
        ArgumentException.ThrowIfNullOrEmpty(options.Id);
        ArgumentOutOfRangeException.ThrowIfNegative(options.BytesPerSecond);
        _options = options;
        Disk = disk;
        _isToPause = () => IsToPause;
        Limiter = new RateLimiter(disk.Environment.Time, options.BytesPerSecond);
        Notified += options.Notify;
    }

    /// <summary>
    /// Tells what happens to the job, in order, on whatever thread it happens. Handlers do not block and do not throw: what one throws ends the
    /// job as a failure, or, where its outcome is known already, is told beside that (<see cref="JobResult.Error"/>).
    /// </summary>
    public event Action<BlockJob, JobEvent>? Notified;

    /// <summary>What the job is called.</summary>
    public string Id => _options.Id;

    /// <summary>What the job does, as QMP spells it: <c>stream</c>, <c>commit</c>, ...</summary>
    public abstract string Kind { get; }

    /// <summary>How far it is.</summary>
    public JobProgress Progress => new(Interlocked.Read(ref _current), End);

    /// <summary>The end of the job; never fails and is never cancelled. A job that was not started, nor cancelled, has no end.</summary>
    public Task<JobResult> Completion => _completion.Task;

    /// <summary>What the job was made for: a disk's root, its newest image, or a filter between them.</summary>
    private protected BlockNode Disk { get; }

    /// <summary>Bytes to deal with.</summary>
    private protected abstract long End { get; }

    private protected RateLimiter Limiter { get; }

    /// <inheritdoc cref="JobInfo.IsActivelySynced"/>
    private protected virtual bool? IsSynced => null;

    /// <summary>Where it is in its life.</summary>
    public JobState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    /// <summary>The last error that made the job pause; null once it has been resumed.</summary>
    public Exception? PausingError
    {
        get
        {
            lock (_gate)
            {
                return _pausingError;
            }
        }
    }

    /// <summary>The most bytes a second it copies; 0 is no limit. A change takes effect at once, also on a job that sleeps.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    /// <exception cref="JobVerbException">Set: the job's work is over.</exception>
    public long BytesPerSecond
    {
        get => Limiter.BytesPerSecond;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            lock (_gate)
            {
                ThrowUnlessTaken(JobVerb.SetSpeed);
            }

            Limiter.BytesPerSecond = value;
        }
    }

    /// <summary>What the job is doing right now.</summary>
    public JobInfo GetInfo()
    {
        JobProgress progress = Progress;
        bool? isActivelySynced = IsSynced;
        lock (_gate)
        {
            return new JobInfo(
                Id,
                Kind,
                _state,
                progress,
                Limiter.BytesPerSecond,
                IsBusy: _state is JobState.Running or JobState.Ready or JobState.Aborting,
                IsPaused: _resumed is not null,
                IsReady: _state is JobState.Ready or JobState.Standby,
                _pausingError switch
                {
                    null => JobIoStatus.Ok,
                    BlockLayerException { Kind: BlockErrorKind.NoSpace } => JobIoStatus.NoSpace,
                    _ => JobIoStatus.Failed,
                },
                _options.AutoFinalize,
                _options.AutoDismiss,
                _failure ?? _cancelled) { IsActivelySynced = isActivelySynced };
        }
    }

    /// <summary>The events from this call on, up to <see cref="JobState.Null"/>; of a job that is there already, none. A reader that is slow is waited for by nobody, and misses nothing.</summary>
    public IAsyncEnumerable<JobEvent> ReadEventsAsync(CancellationToken cancellationToken = default) => JobEventStream.Read(this, cancellationToken);

    /// <summary>Waits until the job can be completed, for the first time.</summary>
    /// <param name="cancellationToken">Ends the wait, not the job.</param>
    /// <returns>False when it ended without becoming ready; its kind may have nothing to complete.</returns>
    public async ValueTask<bool> WaitUntilReadyAsync(CancellationToken cancellationToken = default)
    {
        await _readyOrOver.WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            return _becameReady == true;
        }
    }

    /// <summary>Checks that the job can do its work, makes room for it in the graph, and sets it to work.</summary>
    /// <exception cref="BlockLayerException">It cannot, and why; nothing has changed, and the job is of no further use.</exception>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    /// <exception cref="ObjectDisposedException">Its disk is closed.</exception>
    public async ValueTask StartAsync(CancellationToken cancellationToken = default)
        => await JobTransaction.StartAsync([this], cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public override string ToString() => $"job '{Id}' ({Kind})";
}
