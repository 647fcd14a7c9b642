using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

/// <summary>
/// Jobs that succeed together or not at all, as far as files can: none is finalized before the work of all is done, and one that fails or is cancelled
/// cancels the others.
/// </summary>
/// <remarks>
/// <para>Finalizing has two rounds: first every job prepares, which may fail and changes nothing, then every job commits. Files of several disks do not change
/// in one instant: should a commit fail, the jobs that committed stay so, the others are cancelled, and every disk's chain works.</para>
/// <para>Closing the disk that one of them works on cancels all of them.</para>
/// </remarks>
public sealed class JobTransaction
{
    private readonly Lock _gate = new();
    private readonly BlockJob[] _jobs;
    private readonly Completion _decided = new();
    private int _atWork;        // guarded by _gate
    private bool _isAborting;   // guarded by _gate; one has failed or was cancelled
    private bool _isDecided;    // guarded by _gate; to finalize, or to abort
    private bool _isFinalizing; // guarded by _gate

    private JobTransaction(BlockJob[] jobs) => (_jobs, _atWork) = (jobs, jobs.Length);

    /// <summary>The jobs, in the order in which they are finalized.</summary>
    public IReadOnlyList<BlockJob> Jobs => _jobs;

    /// <summary>
    /// Checks that every job can do its work, makes room for all in the graph, and only then sets them to work. Where one is refused, those before it are cancelled, and
    /// nodes that they had been given to own are closed; the refused one's, and those of the jobs behind it, stay the caller's.
    /// </summary>
    /// <param name="jobs">At least one, each once. From this call on, cancelling one cancels all.</param>
    /// <param name="cancellationToken">Honoured until the jobs run; they are ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The transaction. Where one was cancelled meanwhile, all are over already: they were set up, never ran, and are cancelled.</returns>
    /// <exception cref="Errors.BlockLayerException">One of them cannot, and why; nothing has changed, and none of them is of further use.</exception>
    /// <exception cref="InvalidOperationException">One is given twice, or was started or cancelled before this call. Nothing was done to the others.</exception>
    /// <exception cref="ObjectDisposedException">The disk of one is closed.</exception>
    public static async ValueTask<JobTransaction> StartAsync(IEnumerable<BlockJob> jobs, CancellationToken cancellationToken = default)
    {
        var transaction = new JobTransaction([.. jobs]);
        ArgumentOutOfRangeException.ThrowIfZero(transaction._jobs.Length, nameof(jobs));
        await transaction.JoinAsync().ConfigureAwait(false);
        using (await DrainScope.BeginAsync([.. transaction._jobs.Select(job => job.StartsAt).OfType<BlockNode>()]).ConfigureAwait(false))
        {
            await transaction.SetUpAsync(cancellationToken).ConfigureAwait(false);
        }

        await transaction.RunAsync().ConfigureAwait(false);
        return transaction;
    }

    /// <summary>A member's work is over, well or badly. The last one ends the transaction.</summary>
    internal async Task OnWorkEndedAsync()
    {
        lock (_gate)
        {
            if (--_atWork > 0)
            {
                return;
            }
        }

        await ConcludeAsync(await TryConvergeAsync().ConfigureAwait(false) ? await CommitAsync().ConfigureAwait(false) : 0).ConfigureAwait(false);
    }

    /// <summary>A member has failed: the others are cancelled.</summary>
    internal void OnFailed() => Abort();

    /// <summary>A member was cancelled: so are the others.</summary>
    internal void OnCancelled() => Abort();

    /// <summary>Somebody wants the transaction to be finalized.</summary>
    internal void OnFinalize() => Decide();

    // Before anything else, so that nobody ends a member by itself while others are set up.
    private async ValueTask JoinAsync()
    {
        for (int i = 0; i < _jobs.Length; i++)
        {
            try
            {
                _jobs[i].Join(this);
            }
            catch
            {
                await LeaveAsync(_jobs[..i]).ConfigureAwait(false);
                throw;
            }
        }
    }

    // All of them, even if one was cancelled meanwhile: only a job that was set up closes the nodes that it was given to own.
    private async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        for (int i = 0; i < _jobs.Length; i++)
        {
            try
            {
                await _jobs[i].EnterAsync(cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                foreach (BlockJob job in _jobs[..i])
                {
                    await job.ConcludeAsync(committed: false).ConfigureAwait(false);
                }

                await LeaveAsync(_jobs[(i + 1)..]).ConfigureAwait(false);
                throw;
            }
        }
    }

    private static async ValueTask LeaveAsync(BlockJob[] jobs)
    {
        foreach (BlockJob job in jobs)
        {
            await job.LeaveAsync().ConfigureAwait(false);
        }
    }

    private async ValueTask RunAsync()
    {
        bool isAborting;
        lock (_gate)
        {
            isAborting = _isAborting;
        }

        if (isAborting)
        {
            await ConcludeAsync(committed: 0).ConfigureAwait(false);
            return;
        }

        foreach (BlockJob job in _jobs)
        {
            job.Start();
        }
    }

    private async ValueTask ConcludeAsync(int committed)
    {
        for (int i = 0; i < _jobs.Length; i++)
        {
            await _jobs[i].ConcludeAsync(i < committed).ConfigureAwait(false);
        }
    }

    private void Abort()
    {
        lock (_gate)
        {
            if (_isAborting || _isFinalizing)
            {
                return;
            }

            _isAborting = true;
        }

        foreach (BlockJob job in _jobs)
        {
            job.TryCancel(force: true);
        }

        Decide();
    }

    private void Decide()
    {
        lock (_gate)
        {
            if (_isDecided)
            {
                return;
            }

            _isDecided = true;
        }

        _decided.Complete();
    }

    // Every member has done its work: they are pending together, until all may be finalized.
    private async ValueTask<bool> TryConvergeAsync()
    {
        lock (_gate)
        {
            if (_isAborting)
            {
                return false;
            }
        }

        foreach (BlockJob job in _jobs)
        {
            if (!job.TryEnterPending())
            {
                return false;
            }
        }

        if (_jobs.Any(job => job.NeedsFinalizing))
        {
            await _decided.WaitAsync().ConfigureAwait(false);
        }

        lock (_gate)
        {
            if (_isAborting)
            {
                return false;
            }

            _isFinalizing = true;
        }

        return _jobs.All(job => job.TryBeginFinalizing());
    }

    // How many members are committed, in their order: all, or those before the first that failed.
    private async ValueTask<int> CommitAsync()
    {
        foreach (BlockJob job in _jobs)
        {
            if (!await job.TryPrepareAsync().ConfigureAwait(false))
            {
                return 0;
            }
        }

        int committed = 0;
        while (committed < _jobs.Length && await _jobs[committed].TryCommitAsync().ConfigureAwait(false))
        {
            committed++;
        }

        return committed;
    }
}
