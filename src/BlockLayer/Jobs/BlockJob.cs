using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>
/// A long operation on a graph that guests go on using: started once, paused, resumed, slowed down and cancelled at will, and concluded once.
/// </summary>
/// <remarks>
/// <para>A job works in steps. Between two steps it looks whether it is to pause or to end, and waits where a drain or the rate limit tells it to, with
/// nothing in flight. So pausing and cancelling take effect after the step under way.</para>
/// <para>The lock guards the state, the wish to pause and the wish to end; events are raised and waiters woken after it is left.</para>
/// </remarks>
[SuppressMessage("Design", "CA1001", Justification = "The source is never disposed: a late Cancel may come, and it holds no timer.")]
public abstract class BlockJob
{
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _cancellation = new();
    private readonly TaskCompletionSource<JobResult> _completion = new();
    private readonly BlockEnvironment _environment;
    private JobState _state = JobState.Created; // guarded by _gate
    private Completion? _resumed;               // guarded by _gate; set while the job is to pause
    private long _current;                      // interlocked

    private protected BlockJob(string id, BlockEnvironment environment, long bytesPerSecond)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        ArgumentOutOfRangeException.ThrowIfNegative(bytesPerSecond);
        Id = id;
        _environment = environment;
        Limiter = new RateLimiter(environment.Time, bytesPerSecond);
    }

    /// <summary>
    /// Tells what happens to the job, in order, on whatever thread it happens. Handlers do not block and do not throw: what one throws ends the job as a failure.
    /// </summary>
    public event Action<BlockJob, JobEvent>? Notified;

    /// <summary>What the job is called.</summary>
    public string Id { get; }

    /// <summary>What the job does, as QMP spells it: <c>stream</c>, <c>commit</c>, ...</summary>
    public abstract string Kind { get; }

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

    /// <summary>How far it is.</summary>
    public JobProgress Progress => new(Interlocked.Read(ref _current), End);

    /// <summary>The most bytes a second it copies; 0 is no limit. May be set at any time, and takes effect at once, also on a job that sleeps.</summary>
    public long BytesPerSecond
    {
        get => Limiter.BytesPerSecond;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            Limiter.BytesPerSecond = value;
        }
    }

    /// <summary>The last error that made the job pause; null once it has been resumed.</summary>
    public Exception? PausingError { get; private set; }

    /// <summary>The end of the job; never fails and is never cancelled. A job that was not started has no end.</summary>
    public Task<JobResult> Completion => _completion.Task;

    /// <summary>Bytes to deal with.</summary>
    private protected abstract long End { get; }

    private protected RateLimiter Limiter { get; }

    /// <summary>Checks that the job can do its work, makes room for it in the graph, and sets it to work.</summary>
    /// <exception cref="BlockLayerException">It cannot, and why; nothing has changed, and the job is of no further use.</exception>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    public async ValueTask StartAsync(CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (_state != JobState.Created || _completion.Task.IsCompleted)
            {
                throw new InvalidOperationException($"Job '{Id}' was started before; it is {_state}.");
            }

            _state = JobState.Running;
        }

        try
        {
            await PrepareAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            lock (_gate)
            {
                _state = JobState.Concluded;
            }

            throw;
        }

        _ = _environment.Work.StartAsync(RunToEndAsync);
    }

    /// <summary>Makes the job stop after the step under way. Pausing a paused job does nothing.</summary>
    public void Pause()
    {
        lock (_gate)
        {
            if (_state is JobState.Created or JobState.Running or JobState.Paused)
            {
                _resumed ??= new Completion();
            }
        }
    }

    /// <summary>Makes a paused job go on, whoever or whatever paused it.</summary>
    public void Resume()
    {
        Completion? resumed;
        lock (_gate)
        {
            (resumed, _resumed) = (_resumed, null);
            PausingError = null;
        }

        resumed?.Complete();
    }

    /// <summary>
    /// Makes the job end after the step under way; a paused one ends too. Nothing is undone. A job that is finishing completes nevertheless, so look at
    /// the <see cref="Completion"/>.
    /// </summary>
    public void Cancel()
    {
        lock (_gate)
        {
            if (_state is not (JobState.Running or JobState.Paused))
            {
                return;
            }
        }

        _cancellation.Cancel();
    }

    /// <inheritdoc/>
    public override string ToString() => $"job '{Id}' ({Kind})";

    /// <summary>Refuses what cannot be done, and takes what the job needs. After a failure nothing is taken.</summary>
    private protected abstract ValueTask PrepareAsync(CancellationToken cancellationToken);

    /// <summary>Does the work, in steps with <see cref="CheckpointAsync"/> between them.</summary>
    private protected abstract Task WorkAsync(CancellationToken cancellationToken);

    /// <summary>Gives back what <see cref="PrepareAsync"/> took, as far as the work has not; after success, failure and cancellation alike.</summary>
    private protected abstract ValueTask CleanUpAsync();

    /// <summary>True when the next checkpoint will wait: a job that has several steps under way ends them first.</summary>
    private protected bool IsToPause
    {
        get
        {
            lock (_gate)
            {
                return _resumed is not null;
            }
        }
    }

    /// <summary>Between two steps: waits while the job is paused, and throws if it is to end.</summary>
    private protected async ValueTask CheckpointAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (true)
        {
            Completion? resumed;
            lock (_gate)
            {
                resumed = _resumed;
            }

            if (resumed is null)
            {
                break;
            }

            ChangeState(JobState.Paused);
            await resumed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        ChangeState(JobState.Running);
    }

    /// <summary>Counts bytes as dealt with; what was counted stays counted.</summary>
    private protected void ReportProgress(long current) => Interlocked.Exchange(ref _current, Math.Max(Interlocked.Read(ref _current), current));

    /// <summary>From here on the job cannot be cancelled.</summary>
    /// <exception cref="OperationCanceledException">It was, before.</exception>
    private protected void BeginFinishing()
    {
        lock (_gate)
        {
            _cancellation.Token.ThrowIfCancellationRequested();
            Debug.Assert(_state is JobState.Running, "finishing follows running");
            _state = JobState.Finishing;
        }

        Raise(new JobStateChanged(JobState.Finishing));
    }

    /// <summary>Decides about a failed step, and tells it. After <see cref="JobErrorAction.Stop"/> the next checkpoint pauses.</summary>
    private protected JobErrorAction HandleError(Filters.CopyStep step, Exception error, JobErrorPolicy policy)
    {
        JobErrorAction action = policy switch
        {
            JobErrorPolicy.Ignore => JobErrorAction.Ignore,
            JobErrorPolicy.Stop => JobErrorAction.Stop,
            JobErrorPolicy.StopOnNoSpace when error is BlockLayerException { Kind: BlockErrorKind.NoSpace } => JobErrorAction.Stop,
            _ => JobErrorAction.Report,
        };
        if (action == JobErrorAction.Stop)
        {
            lock (_gate)
            {
                PausingError = error;
                _resumed ??= new Completion();
            }
        }

        Raise(new JobErrorOccurred(step, action, error));
        return action;
    }

    private async Task RunToEndAsync()
    {
        JobOutcome outcome;
        Exception? failure = null;
        try
        {
            Raise(new JobStateChanged(JobState.Running));
            await WorkAsync(_cancellation.Token).ConfigureAwait(false);
            outcome = JobOutcome.Completed;
        }
        catch (OperationCanceledException) when (_cancellation.IsCancellationRequested && State != JobState.Finishing)
        {
            outcome = JobOutcome.Cancelled;
        }
        catch (Exception error)
        {
            (outcome, failure) = (JobOutcome.Failed, error);
        }

        if (outcome != JobOutcome.Completed && TryRaise(new JobStateChanged(Enter(JobState.Aborting))) is { } refusal)
        {
            (outcome, failure) = (JobOutcome.Failed, failure ?? refusal);
        }

        try
        {
            await CleanUpAsync().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            (outcome, failure) = (JobOutcome.Failed, failure ?? error);
        }

        // What a handler of the conclusion throws cannot change it any more; whoever awaits the result is told.
        var result = new JobResult(outcome, Progress, failure);
        Exception? late = TryRaise(new JobStateChanged(Enter(JobState.Concluded))) ?? TryRaise(new JobConcluded(result));
        _completion.SetResult(late is null ? result : result with { Error = failure ?? late });
    }

    private JobState Enter(JobState state)
    {
        lock (_gate)
        {
            return _state = state;
        }
    }

    private void ChangeState(JobState state)
    {
        lock (_gate)
        {
            if (_state == state)
            {
                return;
            }

            _state = state;
        }

        Raise(new JobStateChanged(state));
    }

    private void Raise(JobEvent what) => Notified?.Invoke(this, what);

    private Exception? TryRaise(JobEvent what)
    {
        try
        {
            Raise(what);
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }
}
