using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// Starts the jobs that all generations of the API are made of. The calls have looked at flags and disk by then; here the disk's turn is waited for, a disk that has a job is refused, names are
/// looked up in the chain as it is then, and the job of the block layer is set to work.
/// </summary>
internal static class DiskJobs
{
    /// <summary>Starts to pull into the active image what lies between it and a base.</summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="base">What stays below the active image; null for nothing.</param>
    /// <param name="name">How the base is recorded.</param>
    /// <param name="bytesPerSecond">0 for no limit.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    internal static async ValueTask<DiskJob> StartPullAsync(
        Domain domain, DomainDisk disk, string? @base, RecordedName name, long bytesPerSecond, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await EnterAsync(disk, cancellationToken).ConfigureAwait(false);
        ChainElement? kept = disk.FindPullBase(@base);
        var options = new StreamOptions
        {
            Id = disk.Target,
            Base = kept?.Node,
            BackingName = kept is null ? null : NameOf(domain, disk, disk.Chain[0], kept, name),
            BytesPerSecond = bytesPerSecond,
        };
        return await PullAsync(domain, disk, options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts to pull into an image below the active one all that it gets from below, so that the chain ends with it.</summary>
    internal static async ValueTask<DiskJob> StartPullBelowAsync(Domain domain, DomainDisk disk, string image, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await EnterAsync(disk, cancellationToken).ConfigureAwait(false);
        var options = new StreamOptions { Id = disk.Target, Top = disk.FindPullBase(image)!.Node };
        return await PullAsync(domain, disk, options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts to copy a disk.</summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="parameters">They were checked.</param>
    /// <param name="flags">Of BlockCopy.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    internal static async ValueTask<DiskJob> StartCopyAsync(
        Domain domain, DomainDisk disk, CopyDestination destination, CopyParameters parameters, BlockCopyFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await EnterAsync(disk, cancellationToken).ConfigureAwait(false);
        domain.RequireTransient(flags);
        flags = CopyDestination.Effective(flags, disk);
        if ((flags & BlockCopyFlags.ReuseExternal) == 0)
        {
            destination = destination with { Format = destination.Format ?? disk.Format };
        }

        bool isThere = destination.Check(flags, disk, domain.Host.Files);
        NewImage? create = isThere ? null : new NewImage { Format = destination.Format! };
        var options = new MirrorJobOptions
        {
            Id = disk.Target,
            Scope = (flags & BlockCopyFlags.Shallow) != 0 ? MirrorScope.Top : MirrorScope.Full,
            CopyMode = (flags & BlockCopyFlags.SynchronousWrites) != 0 ? MirrorCopyMode.WriteBlocking : MirrorCopyMode.Background,
            Granularity = parameters.Granularity == 0 ? null : Math.Max((int)parameters.Granularity, CopyParameters.FinestGranularity),
            BytesPerSecond = (long)parameters.Bandwidth,
            TargetIsZero = create is not null,
        };
        DiskOptions how = domain.Host.Options.Disks with { Format = destination.Format };
        var setup = new DiskJobSetup(domain, disk, BlockJobType.Copy) { Mirror = destination.Source };
        return await DiskJob.StartAsync(
            setup,
            hear => disk.Open!.StartMirrorAsync(destination.Source.Path, options with { Notify = hear }, create, how, cancellationToken)).ConfigureAwait(false);
    }

    /// <summary>Starts to commit images into one below them.</summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="base">Null for what the flags say.</param>
    /// <param name="top">Null for the active image.</param>
    /// <param name="bytesPerSecond">0 for no limit.</param>
    /// <param name="flags">Of BlockCommit.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    internal static async ValueTask<DiskJob> StartCommitAsync(
        Domain domain, DomainDisk disk, string? @base, string? top, long bytesPerSecond, BlockCommitFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await EnterAsync(disk, cancellationToken).ConfigureAwait(false);
        ChainElement from = disk.FindTop(top);
        CallRules.CheckCommitTop(flags, from);
        ChainElement into = disk.FindCommitBase(@base, from, flags);
        bool deletes = (flags & BlockCommitFlags.Delete) != 0;
        if (from.Index == 0)
        {
            var active = new ActiveCommitOptions { Id = disk.Target, Base = into.Node, BytesPerSecond = bytesPerSecond };
            var phases = new DiskJobSetup(domain, disk, BlockJobType.ActiveCommit) { Mirror = into.Source, DeletesFiles = deletes };
            return await DiskJob.StartAsync(phases, async hear =>
            {
                await CommitGuard.CheckAsync(domain.Host.Options, deletes, folders => disk.Open!.PlanCommitAsync(active, folders, cancellationToken)).ConfigureAwait(false);
                return await disk.Open!.StartCommitAsync(active with { Notify = hear }, cancellationToken: cancellationToken).ConfigureAwait(false);
            }).ConfigureAwait(false);
        }

        RecordedName name = (flags & BlockCommitFlags.Relative) != 0 ? RecordedName.Relative : RecordedName.Absolute;
        var options = new CommitOptions
        {
            Id = disk.Target,
            Top = from.Node,
            Base = into.Node,
            BackingName = NameOf(domain, disk, disk.Chain[from.Index - 1], into, name),
            BytesPerSecond = bytesPerSecond,
        };
        var setup = new DiskJobSetup(domain, disk, BlockJobType.Commit) { DeletesFiles = deletes };
        return await DiskJob.StartAsync(setup, async hear =>
        {
            await CommitGuard.CheckAsync(domain.Host.Options, deletes, folders => disk.Open!.PlanCommitAsync(options, folders, cancellationToken)).ConfigureAwait(false);
            return await disk.Open!.StartCommitAsync(options with { Notify = hear }, cancellationToken: cancellationToken).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    /// <summary>Asks the job that has the disk to end.</summary>
    /// <returns>The job.</returns>
    /// <exception cref="LibvirtException">InvalidArg: no job; OperationInvalid: one that is being ended or cannot pivot; BlockCopyActive: not ready to pivot.</exception>
    internal static async ValueTask<IDiskJob> EndAsync(DomainDisk disk, BlockJobAbortFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await disk.EnterTurnAsync(cancellationToken).ConfigureAwait(false);
        IDiskJob? job = disk.Job;
        CallRules.CheckAbort(flags, disk.Target, job?.Type, job?.Read().IsReady ?? false);
        job!.End((flags & BlockJobAbortFlags.Pivot) != 0 ? JobEnding.Pivot : JobEnding.Abort);
        return job;
    }

    /// <summary>Asks the pull that has the disk to end.</summary>
    /// <returns>The pull.</returns>
    /// <exception cref="LibvirtException">OperationInvalid: no pull, or one that is being ended.</exception>
    internal static async ValueTask<IDiskJob> EndPullAsync(DomainDisk disk, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await disk.EnterTurnAsync(cancellationToken).ConfigureAwait(false);
        IDiskJob? job = disk.Job;
        CallRules.RequirePull(disk.Target, job?.Type);
        job!.End(JobEnding.Abort);
        return job;
    }

    /// <summary>Changes the speed of the job that has the disk.</summary>
    /// <exception cref="LibvirtException">InvalidArg: no job; OperationInvalid: its work is over.</exception>
    internal static async ValueTask SetSpeedAsync(DomainDisk disk, long bytesPerSecond, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await disk.EnterTurnAsync(cancellationToken).ConfigureAwait(false);
        IDiskJob? job = disk.Job; // it may be over at any moment, and is told that then
        CallRules.RequireJob(disk.Target, job?.Type);
        job!.SetSpeed(bytesPerSecond);
    }

    private static ValueTask<DiskJob> PullAsync(Domain domain, DomainDisk disk, StreamOptions options, CancellationToken cancellationToken)
        => DiskJob.StartAsync(
            new DiskJobSetup(domain, disk, BlockJobType.Pull),
            hear => disk.Open!.StartPullAsync(options with { Notify = hear }, cancellationToken));

    /// <summary>Waits for the disk's turn, for a call that no job may be in the way of.</summary>
    /// <exception cref="LibvirtException">BlockCopyActive, OperationUnsupported: a job has the disk; OperationInvalid, ConfigUnsupported: it is not open.</exception>
    internal static async ValueTask<AsyncLock.Releaser> EnterAsync(DomainDisk disk, CancellationToken cancellationToken)
    {
        AsyncLock.Releaser turn = await disk.EnterTurnAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            disk.ThrowIfOccupied(); // before anything is looked up or created
            return turn;
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    private static string NameOf(Domain domain, DomainDisk disk, ChainElement overlay, ChainElement @base, RecordedName name)
        => name == RecordedName.Relative ? disk.GetRelativeName(overlay, @base) : domain.Host.Files.Resolve(@base.Path);
}
