using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>What operators of a disk start: picked by the seed.</summary>
internal sealed class OperatorActions
{
    private readonly SystemRun _run;
    private readonly SystemDisk _disk;
    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly JobMaker _jobs;
    private readonly (int Weight, Func<ValueTask<OperatorTask?>> Start)[] _actions;

    internal OperatorActions(SystemRun run, SystemDisk disk, SystemOptions options, SeededRandom random)
    {
        _run = run;
        _disk = disk;
        _options = options;
        _random = random;
        _jobs = new JobMaker(disk, options.CopiedCheck, random);
        _actions =
        [
            (4, () => BeginAsync(_jobs.NewPull(top: 0))),
            (3, () => BeginAsync(_jobs.NewPull(_random.Next(Disk.Chain.Count)))),
            (4, CommitAsync),
            (4, CommitActiveAsync),
            (4, MirrorAsync),
            (4, SnapshotAsync),
            (2, RebaseAsync),
            (3, BackupAsync),
            (2, async () => await new TransactionMaker(_run, _options, _random).StartAsync().ConfigureAwait(false)),
            (2, GrowAsync),
            (4, KeepAsync),
        ];
    }

    private Disk Disk => _disk.Disk;

    /// <summary>Starts something; null when it was done at once, or when the disk does not allow it.</summary>
    /// <exception cref="Errors.BlockLayerException">It is refused.</exception>
    internal ValueTask<OperatorTask?> StartAsync()
    {
        if (_disk.JobsAtWork > 0 && Disk.Chain.Count > 2 && _random.Next(4) > 0)
        {
            return BeginAsync(_jobs.NewBeside());
        }

        int choice = _random.Next(_actions.Sum(static action => action.Weight));
        return _actions.First(action => (choice -= action.Weight) < 0).Start();
    }

    private static async ValueTask<OperatorTask?> BeginAsync(BlockJob job)
    {
        await job.StartAsync().ConfigureAwait(false);
        return new OperatorTask(job);
    }

    private async ValueTask<OperatorTask?> CommitAsync()
    {
        if (Disk.Chain.Count < 3)
        {
            return null;
        }

        CommitOptions commit = _jobs.PickCommit();
        bool isShorter = commit.Base!.Length < commit.Top!.Length;
        return new OperatorTask(await Disk.StartCommitAsync(commit).ConfigureAwait(false)) { Remark = isShorter ? Corner.CommitsIntoShorter : null };
    }

    private async ValueTask<OperatorTask?> CommitActiveAsync()
        => Disk.Chain.Count > 1 ? new OperatorTask(await Disk.StartCommitAsync(_jobs.PickActiveCommit()).ConfigureAwait(false)) : null;

    private async ValueTask<OperatorTask?> MirrorAsync()
    {
        MirrorScope scope = _random.Next(4) == 0 ? MirrorScope.None : Disk.Chain.Count > 1 && _random.Next(2) == 0 ? MirrorScope.Top : MirrorScope.Full;
        string format = scope == MirrorScope.None ? _disk.Images.PickOverlayFormat(Disk.Chain[0].DriverName) : _disk.Images.PickFormat(bottom: scope == MirrorScope.Full);
        string path = _disk.NewPath();
        TargetTrouble? trouble = null;
        MirrorJobOptions mirror = _jobs.PickCopy(new MirrorJobOptions
        {
            Scope = scope,
            BeforeSwitch = () =>
            {
                trouble?.End(); // from here on it is the disk
                return ValueTask.CompletedTask;
            },
        });
        MirrorJob job = await Disk.StartMirrorAsync(path, mirror, _disk.Images.New(format, path, length: null), _disk.As(format)).ConfigureAwait(false);
        trouble = _random.Next(4) == 0 ? new TargetTrouble(_run, path, _random) : null;
        return new OperatorTask(job) { Trouble = trouble, Remark = scope == MirrorScope.None ? Corner.OverlayMirrors : null };
    }

    private async ValueTask<OperatorTask?> BackupAsync()
    {
        BackupOptions backup = _jobs.PickBackup();
        OperatorTask? task = await _disk.Backups.StartAsync(backup).ConfigureAwait(false);
        return task is not null && backup.OnCopyBeforeWriteError == CopyBeforeWritePolicy.BreakSnapshot && _random.Next(2) == 0
            ? task with { Trouble = new TargetTrouble(_run, _disk.Backups.Target!, _random) }
            : task;
    }

    // Of this disk, or of all at one moment.
    private async ValueTask<OperatorTask?> SnapshotAsync()
    {
        IReadOnlyList<SystemDisk> disks = _random.Next(2) == 0 ? [_disk] : _run.Disks;
        bool isBeside = disks.Any(static each => each.JobsAtWork > 0);
        DiskSnapshotResult taken = await DiskSnapshot.TakeAsync([.. disks.Select(static each => each.NewOverlay())]).ConfigureAwait(false);
        if (taken.Error is { } error && !_run.HasFaults)
        {
            throw new InvalidOperationException($"A snapshot was taken, and nobody gave what follows it reason to fail: {error.Message}", error);
        }

        _run.Report.Snapshots++;
        Note(Corner.SharedSnapshots, disks.Count > 1);
        Note(Corner.SnapshotsBesideJobs, isBeside);
        return null;
    }

    // To nothing, or to an image that holds something else; to that only while nobody is at the snapshots, which would show it.
    private async ValueTask<OperatorTask?> RebaseAsync()
    {
        RebaseOptions rebase = _jobs.Pick(new RebaseOptions());
        if (_random.Next(2) == 0)
        {
            return new OperatorTask(await Disk.StartRebaseAsync(backing: null, rebase).ConfigureAwait(false));
        }

        if (!_disk.Snapshots.TryHold())
        {
            return null;
        }

        try
        {
            return new OperatorTask(await StartRebaseToOtherAsync(rebase).ConfigureAwait(false)) { Ended = _ => _disk.Snapshots.Release() };
        }
        catch
        {
            _disk.Snapshots.Release();
            throw;
        }
    }

    private async ValueTask<RebaseJob> StartRebaseToOtherAsync(RebaseOptions rebase)
    {
        string path = _disk.NewPath();
        BlockNode other = await _disk.CreateRawAsync(path).ConfigureAwait(false);
        await using (other.ConfigureAwait(false))
        {
            await other.WriteAsync(0, GuestStamp.Create(0, 32 * 1024, writer: 1 << 28)).ConfigureAwait(false);
        }

        return await Disk.StartRebaseAsync(path, rebase, _disk.As("raw")).ConfigureAwait(false);
    }

    private async ValueTask<OperatorTask?> GrowAsync()
    {
        bool isBeside = _disk.JobsAtWork > 0;
        if (await _disk.TryGrowAsync(Disk.Length + ((1 + _random.Next(48)) * (long)SectorPattern.SectorSize)).ConfigureAwait(false))
        {
            _run.Report.Resizes++;
            Note(Corner.ResizesBesideJobs, isBeside);
        }

        return null;
    }

    // Internal snapshots one after the other, so that what one keeps is there when the next is made, applied or deleted.
    private async ValueTask<OperatorTask?> KeepAsync()
    {
        for (int times = 1 + _random.Next(4); times > 0; times--)
        {
            if (await _disk.Snapshots.ActAsync().ConfigureAwait(false))
            {
                _run.Report.InternalSnapshots++;
            }

            await _run.Machine.PassAsync(TimeSpan.FromMilliseconds(_random.Next(20))).ConfigureAwait(false);
        }

        return null;
    }

    private void Note(Corner corner, bool isThere)
    {
        if (isThere)
        {
            _run.Report.Corners.Visit(corner);
        }
    }
}
