using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// What a kind of job implements, and what it finds to do so.
public abstract partial class BlockJob
{
    private Completion? _kick; // guarded by _gate; set while the job idles
    private bool _isKicked;    // guarded by _gate

    private readonly Completion _readyOrOver = new();
    private bool? _becameReady; // guarded by _gate; null until it is known

    /// <summary>Refuses what cannot be done, and takes what the job needs. After a failure nothing is taken.</summary>
    private protected abstract ValueTask SetUpAsync(CancellationToken cancellationToken);

    /// <summary>Does the work, in steps with <see cref="CheckpointAsync"/> between them, up to where only the result has to be made durable and visible.</summary>
    private protected abstract Task WorkAsync(CancellationToken cancellationToken);

    /// <summary>The first part of finalizing: whatever may still fail and changes nothing that anybody sees. All jobs of a transaction do this before any commits.</summary>
    private protected virtual ValueTask PrepareAsync() => ValueTask.CompletedTask;

    /// <summary>The second part: makes the result durable, then visible. A failure leaves a chain that works, the old one or the new.</summary>
    private protected abstract ValueTask CommitAsync();

    /// <summary>Gives back what <see cref="SetUpAsync"/> took, as far as the work has not; after success, failure and cancellation alike.</summary>
    private protected abstract ValueTask CleanUpAsync();

    /// <summary>What the job leaves of the files of its chain; asked once, after <see cref="CleanUpAsync"/>, of a job that was set up.</summary>
    private protected virtual JobFiles DescribeFiles() => JobFiles.None;

    /// <summary>Closes a node on which the job's result does not depend.</summary>
    private protected ValueTask CloseUnneededAsync(BlockNode node) => FollowUpAsync(node.DisposeAsync);

    /// <summary>Does something that cannot change the job's result, which is durable and visible already or never will be. A failure is told beside it (<see cref="JobResult.Error"/>).</summary>
    private protected async ValueTask FollowUpAsync(Func<ValueTask> part)
    {
        try
        {
            await part().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            lock (_gate)
            {
                _lateError ??= error;
            }
        }
    }

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

    /// <summary>True once somebody has cancelled the job.</summary>
    private protected bool IsCancelled
    {
        get
        {
            lock (_gate)
            {
                return _isCancelled;
            }
        }
    }

    /// <summary>For simulations that stop a job at a place: awaited at every checkpoint.</summary>
    internal Func<ValueTask>? AtCheckpoint { get; set; }

    /// <summary>For simulations that stop a job at a place: one step at a time, of one copy unit.</summary>
    internal bool TakesSmallSteps { get; set; }

    /// <summary>Between two steps: waits while the job is paused, and throws if it is to end.</summary>
    private protected async ValueTask CheckpointAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Completion? resumed;
            lock (_gate)
            {
                resumed = _resumed;
            }

            if (resumed is null)
            {
                break;
            }

            bool ready = State == JobState.Ready;
            try
            {
                ChangeState(ready ? JobState.Standby : JobState.Paused);
                await resumed.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                ChangeState(ready ? JobState.Ready : JobState.Running);
            }
        }

        if (AtCheckpoint is { } stop)
        {
            await stop().ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Waits for a <see cref="Kick"/>; one that came since the last wait counts.</summary>
    private protected async ValueTask IdleAsync(CancellationToken cancellationToken)
    {
        Completion kick;
        lock (_gate)
        {
            if (_isKicked)
            {
                _isKicked = false;
                return;
            }

            kick = _kick ??= new Completion();
        }

        await kick.WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            _isKicked = false;
        }
    }

    /// <summary>
    /// Sleeps for the rate limit. False: the job is to pause, and goes back to its checkpoint instead of taking the step.
    /// </summary>
    private protected ValueTask<bool> WaitForLimitAsync(CancellationToken cancellationToken) => Limiter.WaitAsync(_isToPause, cancellationToken);

    /// <summary>Makes a job that idles, or sleeps for its limit, look again. A pause, a completion and a cancel kick by themselves.</summary>
    private protected void Kick()
    {
        Completion? kick;
        lock (_gate)
        {
            _isKicked = true;
            (kick, _kick) = (_kick, null);
        }

        kick?.Complete();
        Limiter.Wake();
    }

    /// <summary>Counts bytes as dealt with; what was counted stays counted.</summary>
    private protected void ReportProgress(long current) => Interlocked.Exchange(ref _current, Math.Max(Interlocked.Read(ref _current), current));

    /// <summary>Source and target are equal from now on.</summary>
    private protected void BecomeReady()
    {
        ChangeState(JobState.Ready);
        Raise(new JobReady(Progress, BytesPerSecond));
        TellReady(isReady: true);
    }

    // The first word counts; the end comes after it.
    private void TellReady(bool isReady)
    {
        lock (_gate)
        {
            if (_becameReady is not null)
            {
                return;
            }

            _becameReady = isReady;
        }

        _readyOrOver.Complete();
    }

    /// <summary>Decides about a failed step, and tells it. After <see cref="JobErrorAction.Stop"/> the next checkpoint pauses.</summary>
    private protected JobErrorAction HandleError(Filters.CopyStep step, Exception error) => HandleError(step, error, _options.OnError);

    /// <summary>The same for a kind of job that has a policy of its own for the step.</summary>
    private protected JobErrorAction HandleError(Filters.CopyStep step, Exception error, JobErrorPolicy policy)
    {
        JobErrorAction action = policy switch
        {
            JobErrorPolicy.Ignore => JobErrorAction.Ignore,
            JobErrorPolicy.Stop => JobErrorAction.Stop,
            JobErrorPolicy.StopOnNoSpace when error is BlockLayerException { Kind: BlockErrorKind.NoSpace } => JobErrorAction.Stop,
            _ => JobErrorAction.Report,
        };
        lock (_gate)
        {
            if (!JobVerbs.IsAllowed(JobVerb.Pause, _state))
            {
                action = JobErrorAction.Report; // it is being finalized, and cannot stop there
            }
            else if (action == JobErrorAction.Stop)
            {
                _pausingError = error;
                _resumed ??= new Completion();
            }
        }

        Raise(new JobErrorOccurred(step, action, error));
        return action;
    }

    private void ChangeState(JobState state)
    {
        lock (_gate)
        {
            if (_state == state)
            {
                return;
            }

            SetState(state);
        }

        Raise(new JobStateChanged(state));
    }

    // The caller holds _gate.
    private void SetState(JobState state)
    {
        Debug.Assert(JobTransitions.IsAllowed(_state, state), $"{this} goes from {_state} to {state}");
        _state = state;
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
