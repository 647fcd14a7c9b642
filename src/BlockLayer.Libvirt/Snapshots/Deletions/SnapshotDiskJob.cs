using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>What occupies a disk while one of its snapshots is deleted, and tells of it as of any other job. It pivots by itself, together with those of the other disks.</summary>
internal sealed class SnapshotDiskJob(Domain domain, DiskMerge merge) : IDiskJob
{
    private readonly Completion _over = new();
    private volatile bool _isReady;
    private BlockJobEvent? _end; // from when it is over

    /// <inheritdoc/>
    public BlockJobType Type => merge.JobType;

    /// <summary>The job of the block layer.</summary>
    internal BlockJob Job { get; } = merge.CreateJob();

    /// <inheritdoc/>
    public JobReading Read()
    {
        JobProgress progress = Job.Progress;
        return new JobReading(Type, Job.BytesPerSecond, progress.Current, Math.Max(progress.Current, progress.End), _isReady);
    }

    /// <inheritdoc/>
    public void SetSpeed(long bytesPerSecond)
    {
        try
        {
            Job.BytesPerSecond = bytesPerSecond;
        }
        catch (JobVerbException error)
        {
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }

    /// <inheritdoc/>
    public void End(JobEnding how)
    {
        if (how == JobEnding.Pivot)
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.OperationInvalid,
                $"The disk '{merge.Target}' pivots by itself, together with the other disks of the snapshot that is being deleted.");
        }

        Job.TryCancel(force: true); // too late for that: it has just ended, or is being finalized, and the event tells how
    }

    /// <inheritdoc/>
    public async ValueTask<BlockJobEvent> WaitForEndAsync(CancellationToken cancellationToken)
    {
        await _over.WaitAsync(cancellationToken).ConfigureAwait(false);
        return _end!;
    }

    /// <summary>Gives the disk to the job.</summary>
    /// <exception cref="LibvirtException">BlockCopyActive, OperationUnsupported: another job has it.</exception>
    internal void Occupy()
    {
        merge.Disk.Occupy(this);
        Describe(MirrorStage.Copying);
    }

    /// <summary>Says how far it is, in the description of the disk.</summary>
    internal void Describe(MirrorStage stage)
    {
        if (Type == BlockJobType.ActiveCommit)
        {
            merge.Disk.Describe(this, new DiskMirror(Type, merge.Older.Source, merge.Older.Format, stage));
        }
    }

    /// <summary>The second phase of an active commit has begun.</summary>
    internal void BecomeReady()
    {
        _isReady = true;
        Describe(MirrorStage.Ready);
        if (domain.State == DomainState.Running)
        {
            domain.TellOfJob(merge.Disk, Type, BlockJobStatus.Ready);
        }
    }

    /// <summary>Gives the disk back: the job is over, or was refused.</summary>
    internal void Release() => merge.Disk.Release(this);

    /// <summary>Tells the end, of a domain that runs; the disk is free already.</summary>
    /// <param name="result">How it has ended.</param>
    internal void TellEnd(JobResult result)
    {
        BlockJobStatus status = result.Outcome switch
        {
            JobOutcome.Completed when Job is LiveCopyJob { HasSwitched: false } => BlockJobStatus.Canceled,
            JobOutcome.Completed => BlockJobStatus.Completed,
            JobOutcome.Cancelled => BlockJobStatus.Canceled,
            _ => BlockJobStatus.Failed,
        };
        _end = new BlockJobEvent(domain, merge.Target, merge.Disk.Source?.Path, Type, status) { Error = LibvirtError.Of(result.Error) };
        try
        {
            if (domain.State == DomainState.Running)
            {
                domain.Tell(_end);
            }
        }
        finally
        {
            _over.Complete();
        }
    }
}
