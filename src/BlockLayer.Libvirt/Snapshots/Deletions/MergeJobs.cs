using System.Runtime.ExceptionServices;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// The jobs that merge the disks of one snapshot: one transaction, so that none is finalized before all have done their work, and one that fails or is cancelled cancels the others.
/// </summary>
internal sealed class MergeJobs
{
    private readonly SnapshotDiskJob[] _members;
    private readonly BlockJob[] _jobs;
    private readonly Completion _decided = new(); // all are pending, or one has ended before that
    private int _pending;                         // interlocked
    private bool _isDecided;                      // interlocked
    private ExceptionDispatchInfo? _listener;     // what the first listener threw that was told an end

    private MergeJobs(Domain domain, IReadOnlyList<DiskMerge> merges)
    {
        _members = [.. merges.Select(merge => new SnapshotDiskJob(domain, merge))];
        _jobs = [.. _members.Select(static member => member.Job)];
    }

    /// <summary>What went wrong behind the end of the first job that tells such a thing; null for nothing. From <see cref="EndAsync"/> on.</summary>
    internal LibvirtError? LateError { get; private set; }

    /// <summary>Takes all disks and sets a job to work on each, or on none.</summary>
    /// <exception cref="LibvirtException">BlockCopyActive, OperationUnsupported: a disk has another job.</exception>
    /// <exception cref="Errors.BlockLayerException">A job cannot do its work, and why.</exception>
    internal static async ValueTask<MergeJobs> StartAsync(Domain domain, IReadOnlyList<DiskMerge> merges, CancellationToken cancellationToken)
    {
        var jobs = new MergeJobs(domain, merges);
        jobs.Occupy();
        try
        {
            foreach (BlockJob job in jobs._jobs)
            {
                job.Notified += jobs.OnNotified;
            }

            await JobTransaction.StartAsync(jobs._jobs, cancellationToken).ConfigureAwait(false);
            return jobs;
        }
        catch
        {
            foreach (SnapshotDiskJob member in jobs._members)
            {
                member.Release();
            }

            throw;
        }
    }

    /// <summary>Waits until every job has done its work and waits to be finalized.</summary>
    /// <exception cref="OperationCanceledException">The token fired, or somebody cancelled a job. All have ended, and no disk has switched.</exception>
    /// <exception cref="Errors.BlockLayerException">A job has failed; so have all ended, and no disk has switched.</exception>
    internal async ValueTask WaitUntilPendingAsync(CancellationToken cancellationToken)
    {
        CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static state => ((MergeJobs)state!).Cancel(), this);
        await _decided.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        registration.Unregister();
        if (!cancellationToken.IsCancellationRequested && Volatile.Read(ref _pending) == _jobs.Length)
        {
            return;
        }

        Cancel();
        JobResult[] results = await EndAsync().ConfigureAwait(false);
        ThrowIfIncomplete(results);
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Makes all jobs end without a switch.</summary>
    internal void Cancel()
    {
        foreach (BlockJob job in _jobs)
        {
            job.TryCancel(force: true);
        }
    }

    /// <summary>Makes every disk switch to its staying image. The caller holds the guests back.</summary>
    /// <returns>Which disks have, in the order of the merges.</returns>
    internal async ValueTask<IReadOnlyList<bool>> FinalizeAsync()
    {
        foreach (SnapshotDiskJob member in _members)
        {
            member.Describe(MirrorStage.Pivoting);
        }

        try
        {
            _jobs[0].FinalizeJob();
        }
        catch (JobVerbException)
        {
            // Somebody has just cancelled a job, and with it all: the results say so.
        }

        JobResult[] results = await Task.WhenAll(_jobs.Select(static job => job.Completion)).ConfigureAwait(false);
        return [.. _jobs.Zip(results, static (job, result) => HasSwitched(job, result))];
    }

    /// <summary>
    /// Gives the disks back and tells how the jobs have ended; when no guest is held back any more. What a listener throws keeps nobody from what is left to be done
    /// (<see cref="ThrowIfListenerFailed"/>).
    /// </summary>
    internal async ValueTask<JobResult[]> EndAsync()
    {
        JobResult[] results = await Task.WhenAll(_jobs.Select(static job => job.Completion)).ConfigureAwait(false);
        foreach (SnapshotDiskJob member in _members)
        {
            member.Release();
        }

        foreach ((SnapshotDiskJob member, JobResult result) in _members.Zip(results))
        {
            try
            {
                member.TellEnd(result);
            }
            catch (Exception error)
            {
                _listener ??= ExceptionDispatchInfo.Capture(error); // the others are told all the same
            }
        }

        LateError = LibvirtError.Of(results.Select(static result => result.Error).FirstOrDefault(static error => error is not null));
        return results;
    }

    /// <summary>Throws what a listener threw that was told how a job has ended.</summary>
    internal void ThrowIfListenerFailed() => _listener?.Throw();

    /// <summary>Throws what made a job fail, or that one was cancelled.</summary>
    internal static void ThrowIfIncomplete(JobResult[] results)
    {
        foreach (JobResult result in results.OrderByDescending(static result => result.Outcome == JobOutcome.Failed)) // one that failed has cancelled the others
        {
            result.ThrowUnlessCompleted("A job that merges the files of the snapshot was cancelled.");
        }
    }

    // A job that is cancelled without force when it is ready ends well, and keeps its image.
    private static bool HasSwitched(BlockJob job, JobResult result)
        => result.Outcome == JobOutcome.Completed && job is not LiveCopyJob { HasSwitched: false };

    private void OnNotified(BlockJob job, JobEvent what)
    {
        switch (what)
        {
            case JobReady:
                _members[Array.IndexOf(_jobs, job)].BecomeReady();
                job.Complete();
                break;
            case JobPending when Interlocked.Increment(ref _pending) == _jobs.Length:
            case JobEnded:
                Decide();
                break;
        }
    }

    private void Decide()
    {
        if (!Interlocked.Exchange(ref _isDecided, true))
        {
            _decided.Complete();
        }
    }

    private void Occupy()
    {
        int taken = 0;
        try
        {
            for (; taken < _members.Length; taken++)
            {
                _members[taken].Occupy();
            }
        }
        catch
        {
            foreach (SnapshotDiskJob member in _members[..taken])
            {
                member.Release();
            }

            throw;
        }
    }
}
