using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// What users ask of a job.
public abstract partial class BlockJob
{
    /// <summary>Makes the job stop after the step under way; one that was not started will not take its first step.</summary>
    /// <exception cref="JobVerbException">It is paused already, or its work is over.</exception>
    public void Pause()
    {
        lock (_gate)
        {
            ThrowUnlessTaken(JobVerb.Pause);
            if (_resumed is not null)
            {
                throw new JobVerbException(this, JobVerb.Pause, _state, "it was paused before");
            }

            _resumed = new Completion();
        }

        Kick();
    }

    /// <summary>Makes a paused job go on, whoever or whatever paused it.</summary>
    /// <exception cref="JobVerbException">It is not paused, or its work is over.</exception>
    public void Resume()
    {
        Completion resumed;
        lock (_gate)
        {
            ThrowUnlessTaken(JobVerb.Resume);
            resumed = _resumed ?? throw new JobVerbException(this, JobVerb.Resume, _state, "nobody paused it");
            (_resumed, _pausingError) = (null, null);
        }

        resumed.Complete();
    }

    /// <summary>
    /// Makes the job end after the step under way; a paused one ends too, and so does every other job of its transaction. What it copied is not undone.
    /// </summary>
    /// <param name="force">
    /// False: a job that keeps source and target equal and is <see cref="JobState.Ready"/> ends well, without changing over to its target. True: it
    /// ends where it is, and the target may be of no use.
    /// </param>
    /// <exception cref="JobVerbException">It is over, has failed, or is being finalized.</exception>
    public void Cancel(bool force = false)
    {
        if (TryCancel(force))
        {
            return;
        }

        lock (_gate)
        {
            throw JobVerbs.IsAllowed(JobVerb.Cancel, _state)
                ? new JobVerbException(this, JobVerb.Cancel, _state, _failure is null ? "its result is being made durable" : "it has failed")
                : JobVerbException.NotIn(this, JobVerb.Cancel, _state);
        }
    }

    /// <summary>As <see cref="Cancel"/>, for whoever does not mind that the job may just have ended.</summary>
    /// <returns>
    /// True: the job will end <see cref="JobOutcome.Cancelled"/>, or, where it ends well for want of force, without changing over to its target. False: it is too late; look at
    /// the <see cref="Completion"/>.
    /// </returns>
    public bool TryCancel(bool force = false)
    {
        bool endsWell;
        bool isMember;
        lock (_gate)
        {
            if (!JobVerbs.IsAllowed(JobVerb.Cancel, _state) || _isFinalizing || _failure is not null)
            {
                return false;
            }

            endsWell = !force && TryEndWell();
            isMember = _isStarted;
            _isCancelled |= !endsWell; // decided here, in one with the question whether it is too late; the token only carries the word
            _isStarted = true;         // nobody starts it any more
        }

        if (!endsWell)
        {
            _cancellation.Cancel();
            if (!isMember)
            {
                _ = ConcludeAsync(committed: false); // observes its own failures, and there is nothing to give back
                return true;
            }

            _transaction?.OnCancelled();
        }

        ReleasePause();
        return true;
    }

    /// <summary>Makes a job that is ready end well: change over to its target, or to its base.</summary>
    /// <exception cref="JobVerbException">It is not ready, or its kind has nothing to complete.</exception>
    public void Complete()
    {
        lock (_gate)
        {
            ThrowUnlessTaken(JobVerb.Complete);
            OnComplete();
        }

        Kick();
    }

    /// <summary>Makes the result of every job of the transaction durable and visible.</summary>
    /// <exception cref="JobVerbException">It is not <see cref="JobState.Pending"/>, or is being finalized already.</exception>
    public void FinalizeJob()
    {
        lock (_gate)
        {
            ThrowUnlessTaken(JobVerb.Finalize);
            if (_isFinalizing)
            {
                throw new JobVerbException(this, JobVerb.Finalize, _state, "its result is being made durable");
            }
        }

        _transaction!.OnFinalize();
    }

    /// <summary>Forgets a job that is over.</summary>
    /// <exception cref="JobVerbException">It is not over, or was dismissed.</exception>
    public void Dismiss()
    {
        bool isTellingConclusion;
        lock (_gate)
        {
            ThrowUnlessTaken(JobVerb.Dismiss);
            SetState(JobState.Null);
            isTellingConclusion = !_isConclusionTold;
        }

        if (!isTellingConclusion)
        {
            Raise(new JobStateChanged(JobState.Null));
        }
    }

    /// <summary>What <see cref="Complete"/> does to a job of this kind. Called under the lock of the state: it only notes it. The job is kicked afterwards.</summary>
    private protected virtual void OnComplete() => throw new JobVerbException(this, JobVerb.Complete, State, $"a {Kind} job has nothing to complete");

    /// <summary>Asked to end without force: true when the job will now end well by itself. Called under the lock of the state: it only notes it.</summary>
    private protected virtual bool TryEndWell() => false;

    // The caller holds _gate.
    private void ThrowUnlessTaken(JobVerb verb)
    {
        if (!JobVerbs.IsAllowed(verb, _state))
        {
            throw JobVerbException.NotIn(this, verb, _state);
        }
    }

    // Lets a paused job go on without its user's wish: it is to end.
    private void ReleasePause()
    {
        Completion? resumed;
        lock (_gate)
        {
            (resumed, _resumed) = (_resumed, null);
        }

        resumed?.Complete();
        Kick();
    }
}
