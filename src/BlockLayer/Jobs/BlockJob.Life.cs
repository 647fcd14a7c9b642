using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// From the start to the conclusion. Its transaction drives it: set up, start, and, when all members' work is over, finalize or conclude.
public abstract partial class BlockJob
{
    private JobState _state = JobState.Created; // guarded by _gate
    private Completion? _resumed;               // guarded by _gate; set while the job is to pause
    private Exception? _pausingError;           // guarded by _gate
    private Exception? _failure;                // guarded by _gate; why the job fails, the first reason
    private bool _isCancelled;                  // guarded by _gate; it will end cancelled, because nothing had failed before
    private Exception? _cancelled;              // guarded by _gate; set when it has ended because somebody cancelled it
    private bool _isStarted;                    // guarded by _gate; a member of a transaction, or cancelled before it was
    private bool _isFinalizing;                 // guarded by _gate; nothing cancels it any more
    private bool _isCommitted;                  // guarded by _gate; its result is durable and visible
    private bool _isConclusionTold;             // guarded by _gate; a dismissal before that is told behind it
    private Exception? _lateError;              // guarded by _gate; the first that does not change how it ends
    private bool _isSetUp;                      // of the transaction
    private IReadOnlyList<RootNode> _roots = []; // of the transaction; told when the job is over
    private readonly Completion _left = new();  // it was refused, or is over
    private JobTransaction? _transaction;       // guarded by _gate until the job is set up

    /// <summary>Whether the job waits for a word of its user before it is finalized.</summary>
    internal bool NeedsFinalizing => !_options.AutoFinalize;

    /// <summary>
    /// The node that the job needs as it is at one moment, or null. Guests of all such nodes are held back while the jobs of a transaction are set up, so the moment is the same for
    /// all of them.
    /// </summary>
    internal virtual BlockNode? StartsAt => null;

    /// <summary>Makes the job a member of a transaction: nobody else starts it, and who cancels it from now on cancels all members.</summary>
    /// <exception cref="InvalidOperationException">It was started, or cancelled, before.</exception>
    internal void Join(JobTransaction transaction)
    {
        lock (_gate)
        {
            if (_isStarted)
            {
                throw new InvalidOperationException($"{this} was started before; it is {_state}.");
            }

            _isStarted = true;
            _transaction = transaction;
        }
    }

    /// <summary>Undoes <see cref="Join"/>: the transaction has come to nothing before this job's turn.</summary>
    internal async ValueTask LeaveAsync()
    {
        lock (_gate)
        {
            if (!IsCancelled)
            {
                _isStarted = false;
                _transaction = null;
                return;
            }
        }

        await ConcludeAsync(committed: false).ConfigureAwait(false);
    }

    /// <summary>Takes all that the job needs.</summary>
    internal async ValueTask EnterAsync(CancellationToken cancellationToken)
    {
        try
        {
            _roots = RootNode.Register(Disk, this);
            await SetUpAsync(cancellationToken).ConfigureAwait(false);
            _isSetUp = true;
        }
        catch
        {
            await RefuseAsync().ConfigureAwait(false);
            throw;
        }
    }

    // Nothing was taken. A job that was cancelled meanwhile has an end all the same: it was promised.
    private async ValueTask RefuseAsync()
    {
        bool isCancelled;
        lock (_gate)
        {
            isCancelled = _isCancelled;
            if (!isCancelled)
            {
                SetState(JobState.Null);
            }
        }

        if (isCancelled)
        {
            await ConcludeAsync(committed: false).ConfigureAwait(false);
            return;
        }

        _ = TryRaise(new JobStateChanged(JobState.Null)); // what a handler throws is nothing beside why the job is refused
        TellReady(isReady: false);
        LeaveRoots();
    }

    /// <inheritdoc/>
    async Task IGraphUser.EndAsync()
    {
        TryCancel(force: true);
        await _left.WaitAsync().ConfigureAwait(false);
    }

    /// <summary>Sets the job to work.</summary>
    internal void Start()
    {
        if (TryRaise(Enter(JobState.Running)) is { } refusal)
        {
            Fail(refusal);
        }

        _ = Disk.Environment.Work.StartAsync(RunAsync);
    }

    /// <summary>Every member is done: the job goes on to be pending. False: it fails, or was cancelled.</summary>
    internal bool TryEnterPending()
    {
        try
        {
            ChangeState(JobState.Pending);
            if (NeedsFinalizing)
            {
                Raise(new JobPending());
            }

            return true;
        }
        catch (Exception error)
        {
            Fail(error);
            return false;
        }
    }

    /// <summary>From here on nothing cancels the job. False: somebody did.</summary>
    internal bool TryBeginFinalizing()
    {
        lock (_gate)
        {
            return _isFinalizing = _failure is null && !_isCancelled;
        }
    }

    /// <inheritdoc cref="PrepareAsync"/>
    internal ValueTask<bool> TryPrepareAsync() => TryAsync(PrepareAsync);

    /// <inheritdoc cref="CommitAsync"/>
    internal ValueTask<bool> TryCommitAsync() => TryAsync(CommitAsync);

    /// <summary>Ends the job.</summary>
    /// <param name="committed">Whether its result is durable and visible.</param>
    internal async Task ConcludeAsync(bool committed)
    {
        lock (_gate)
        {
            _isCommitted = committed;
            _isCancelled |= !committed && _failure is null;
        }

        if (!committed && TryRaise(Enter(JobState.Aborting)) is { } refusal)
        {
            Fail(refusal);
        }

        if (_isSetUp)
        {
            await TryAsync(CleanUpAsync).ConfigureAwait(false);
        }

        Exception? failure;
        Exception? lateError;
        lock (_gate)
        {
            (failure, lateError) = (_failure, _lateError);
            _cancelled = _isCancelled ? new OperationCanceledException($"{this} was cancelled.") : null;
        }

        JobOutcome outcome = committed ? JobOutcome.Completed : failure is null ? JobOutcome.Cancelled : JobOutcome.Failed;
        var result = new JobResult(outcome, Progress, failure ?? lateError) { Files = _isSetUp ? DescribeFiles() : JobFiles.None };

        // What a handler of the conclusion throws cannot change it any more; whoever awaits the result is told.
        Exception? late = TryRaise(new JobEnded(result, BytesPerSecond));
        Exception? later = TryRaise(Enter(JobState.Concluded));
        Exception? last = EndConclusion() ? TryRaise(new JobStateChanged(JobState.Null)) : null;
        TellReady(isReady: false);
        _completion.SetResult(result with { Error = result.Error ?? late ?? later ?? last });
        LeaveRoots();
    }

    private void LeaveRoots()
    {
        foreach (RootNode root in _roots)
        {
            root.Forget(this);
        }

        _left.Complete();
    }

    private async Task RunAsync()
    {
        try
        {
            await CheckpointAsync(_cancellation.Token).ConfigureAwait(false);
            await WorkAsync(_cancellation.Token).ConfigureAwait(false);
            EndWork();
            Raise(new JobStateChanged(JobState.Waiting));
        }
        catch (OperationCanceledException) when (IsCancelled)
        {
            _transaction!.OnCancelled();
        }
        catch (Exception error)
        {
            Fail(error);
        }

        await _transaction!.OnWorkEndedAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Notes that the work is over: nothing pauses the job any more, and an error fails it. A kind of job calls this where its work has to end while guests are held back; for
    /// all others <see cref="WorkAsync"/> returning is that moment.
    /// </summary>
    /// <exception cref="OperationCanceledException">The job was cancelled.</exception>
    private protected void EndWork()
    {
        lock (_gate)
        {
            if (_state == JobState.Waiting)
            {
                return;
            }

            if (_isCancelled)
            {
                throw new OperationCanceledException(_cancellation.Token);
            }

            _resumed = null; // there is no step left before which it could stop
            SetState(JobState.Waiting);
        }
    }

    private async ValueTask<bool> TryAsync(Func<ValueTask> part)
    {
        try
        {
            await part().ConfigureAwait(false);
            return true;
        }
        catch (Exception error)
        {
            Fail(error);
            return false;
        }
    }

    /// <summary>
    /// Ends the job, and its transaction with it, as a failure, whatever it is waiting for. Where it is known already how the job ends, the error is told beside that. The caller holds no lock.
    /// </summary>
    private protected void Fail(Exception error)
    {
        bool ends;
        lock (_gate)
        {
            ends = !_isCancelled && !_isCommitted;
            if (ends)
            {
                _failure ??= error;
            }
            else
            {
                _lateError ??= error;
            }
        }

        _transaction?.OnFailed();
        if (ends)
        {
            _cancellation.Cancel(); // nobody can cancel a job that has failed: it has to leave by itself what it waits in
            ReleasePause();
        }
    }

    // The conclusion is told to all. True: the job is dismissed, by itself or by one of those, and the others are to hear of that now.
    private bool EndConclusion()
    {
        lock (_gate)
        {
            _isConclusionTold = true;
            if (_options.AutoDismiss && _state == JobState.Concluded)
            {
                SetState(JobState.Null);
            }

            return _state == JobState.Null;
        }
    }

    private JobStateChanged Enter(JobState state)
    {
        lock (_gate)
        {
            SetState(state);
        }

        return new JobStateChanged(state);
    }
}
