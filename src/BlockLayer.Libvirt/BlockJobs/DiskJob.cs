using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>A job on a disk of a domain, whichever generation of the API has started it, and whichever connection.</summary>
/// <remarks>
/// <code>
///   occupies the disk ── start ── &lt;mirror&gt; ── ready='yes', READY ── ready='pivot' or 'abort' ── files deleted ── disk free, no &lt;mirror&gt; ── the end is told ── Completion
///                          └ refused: disk free, nothing told          the mirror: copies and active commits alone
/// </code>
/// <para>The description says what an event says before the event is told. An event is told on whatever thread the job is on, so a listener that waits for the job waits for itself.</para>
/// </remarks>
public sealed class DiskJob : IDiskJob
{
    private readonly TaskCompletionSource<BlockJobEvent> _completion = new();
    private readonly Completion _readyOrOver = new();
    private readonly Completion _over = new();
    private readonly DiskJobSetup _setup;
    private volatile BlockJob? _job; // from its first event on
    private volatile bool _isReady;
    private Task _readyTold = Task.CompletedTask;
    private BlockJobEvent? _end;     // from when it is over
    private bool _isEnding;          // guarded by the disk's turn

    private DiskJob(DiskJobSetup setup) => _setup = setup;

    /// <summary>Whose disk it is.</summary>
    public Domain Domain => _setup.Domain;

    /// <summary>The disk.</summary>
    public DomainDisk Disk => _setup.Disk;

    /// <inheritdoc/>
    public BlockJobType Type => _setup.Type;

    /// <summary>True once a copy or active commit has reached its second phase.</summary>
    public bool IsReady => _isReady;

    /// <summary>The event that tells the end, completed after it was told. It fails only with what a listener threw that was told it.</summary>
    public Task<BlockJobEvent> Completion => _completion.Task;

    /// <summary>The job of the block layer; null until it runs.</summary>
    internal BlockJob? Job => _job;

    /// <summary>Waits for the second phase of a copy or active commit.</summary>
    /// <returns>False when the job is over instead; its <see cref="Completion"/> tells why.</returns>
    public async ValueTask<bool> WaitForReadyAsync(CancellationToken cancellationToken = default)
    {
        await _readyOrOver.WaitAsync(cancellationToken).ConfigureAwait(false);
        return _isReady && !_over.IsCompleted;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Type} on '{Disk.Target}' of '{Domain.Name}'";

    /// <inheritdoc/>
    JobReading IDiskJob.Read()
    {
        if (_job is not { } job)
        {
            return new JobReading(Type, BytesPerSecond: 0, Current: 0, End: 0, IsReady: false);
        }

        JobProgress progress = job.Progress;
        return new JobReading(Type, job.BytesPerSecond, progress.Current, Math.Max(progress.Current, progress.End), _isReady);
    }

    /// <inheritdoc/>
    void IDiskJob.SetSpeed(long bytesPerSecond)
    {
        try
        {
            _job!.BytesPerSecond = bytesPerSecond;
        }
        catch (JobVerbException error)
        {
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }

    /// <inheritdoc/>
    void IDiskJob.End(JobEnding how)
    {
        if (_isEnding)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"The job on the disk '{Disk.Target}' is still being ended.");
        }

        DiskMirror? before = Disk.Mirror;
        Describe(how == JobEnding.Pivot ? MirrorStage.Pivoting : MirrorStage.Aborting);
        if (how == JobEnding.Abort)
        {
            _isEnding = true;
            _job!.TryCancel(); // too late for that: it has just ended, or is being finalized, and the event tells how
            return;
        }

        try
        {
            _job!.Complete();
            _isEnding = true;
        }
        catch (JobVerbException error)
        {
            if (before is not null)
            {
                Disk.Describe(this, before);
            }

            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }

    /// <inheritdoc/>
    async ValueTask<BlockJobEvent> IDiskJob.WaitForEndAsync(CancellationToken cancellationToken)
    {
        await _over.WaitAsync(cancellationToken).ConfigureAwait(false);
        return _end!;
    }

    /// <summary>Gives the disk to a new job and starts it. The caller has the disk's turn.</summary>
    /// <param name="setup">What the job is.</param>
    /// <param name="startAsync">Starts it, with somebody who hears its events from the first on.</param>
    /// <exception cref="LibvirtException">BlockCopyActive, OperationUnsupported: the disk has a job; and as the block layer refuses the job.</exception>
    internal static async ValueTask<DiskJob> StartAsync<T>(DiskJobSetup setup, Func<Action<BlockJob, JobEvent>, ValueTask<T>> startAsync)
        where T : BlockJob
    {
        var job = new DiskJob(setup);
        setup.Disk.Occupy(job);
        try
        {
            await startAsync(job.Hear).ConfigureAwait(false);
            return job;
        }
        catch (BlockLayerException error)
        {
            setup.Disk.Release(job);
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
        catch
        {
            setup.Disk.Release(job);
            throw;
        }
    }

    private void Hear(BlockJob job, JobEvent what)
    {
        switch (what)
        {
            case JobStateChanged when _job is null:
                _job = job;
                Describe(MirrorStage.Copying);
                break;
            case JobReady:
                _isReady = true;
                if (Disk.Mirror is { State: MirrorStage.Copying })
                {
                    Describe(MirrorStage.Ready);
                }

                TellReady();
                _readyOrOver.Complete();
                break;
            case JobEnded ended:
                _ = EndAsync(ended.Result); // tells its own failures
                break;
        }
    }

    // What a listener throws ends the job as a failure. Where somebody else tells it, later, the job may have ended by then, and whoever awaits its end is told.
    private void TellReady()
    {
        _readyTold = Domain.TellAsync(new BlockJobEvent(Domain, Disk.Target, Disk.Source?.Path, Type, BlockJobStatus.Ready));
        if (_readyTold.IsFaulted)
        {
            Task failed = _readyTold;
            _readyTold = Task.CompletedTask;
            failed.GetAwaiter().GetResult();
        }
    }

    private void Describe(MirrorStage stage)
    {
        if (_job is LiveCopyJob copy)
        {
            Disk.Describe(this, new DiskMirror(Type, _setup.Mirror!, copy.Target.DriverName, stage));
        }
    }

    private async Task EndAsync(JobResult result)
    {
        BlockJobStatus status = StatusOf(result.Outcome);
        var error = LibvirtError.Of(result.Error);
        if (status == BlockJobStatus.Completed && _setup.DeletesFiles)
        {
            LibvirtError? left = await UnneededFiles.DeleteAsync(Domain.Host.Files, [.. result.Files.Unneeded, .. result.Files.Invalid]).ConfigureAwait(false);
            error ??= left;
        }

        Disk.Release(this);
        var what = _end = new BlockJobEvent(Domain, Disk.Target, Disk.Source?.Path, Type, status) { Error = error };
        Task told = Domain.TellAsync(what);
        bool isToldLater = !told.IsCompleted; // events are held, or somebody else tells them, who may wait for this very job
        if (isToldLater)
        {
            BecomeOver();
        }

        try
        {
            await _readyTold.ConfigureAwait(false);
            await told.ConfigureAwait(false);
            _completion.SetResult(what);
        }
        catch (Exception listener)
        {
            _completion.SetException(listener);
        }

        if (!isToldLater)
        {
            BecomeOver();
        }
    }

    private void BecomeOver()
    {
        _over.Complete();
        if (!_readyOrOver.IsCompleted)
        {
            _readyOrOver.Complete();
        }
    }

    // A copy that is let go of in its second phase ends well for the block layer: it holds what the disk held at that moment. libvirt tells every end without a pivot as cancelled.
    private BlockJobStatus StatusOf(JobOutcome outcome) => outcome switch
    {
        JobOutcome.Completed when _job is LiveCopyJob { HasSwitched: false } => BlockJobStatus.Canceled,
        JobOutcome.Completed => BlockJobStatus.Completed,
        JobOutcome.Cancelled => BlockJobStatus.Canceled,
        _ => BlockJobStatus.Failed,
    };
}
