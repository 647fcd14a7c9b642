using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>What operators start, on which part of the chain, and how: all of it picked by the seed.</summary>
internal sealed class OperatorActions
{
    private readonly SystemRun _run;
    private readonly SystemDisk _disk;
    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly (int Weight, Func<ValueTask<OperatorTask?>> Start)[] _actions;

    internal OperatorActions(SystemRun run, SystemDisk disk, SystemOptions options, SeededRandom random)
    {
        _run = run;
        _disk = disk;
        _options = options;
        _random = random;
        _actions =
        [
            (4, () => PullAsync(top: 0)),
            (3, () => PullAsync(_random.Next(Disk.Chain.Count))),
            (4, CommitAsync),
            (4, CommitActiveAsync),
            (4, MirrorAsync),
            (4, SnapshotAsync),
            (2, RebaseAsync),
            (3, () => _disk.Backups.StartAsync(NewBackup())),
            (2, TransactAsync),
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
            return BesideAsync();
        }

        int choice = _random.Next(_actions.Sum(static action => action.Weight));
        return _actions.First(action => (choice -= action.Weight) < 0).Start();
    }

    private async ValueTask<OperatorTask?> PullAsync(int top) => await BeginAsync(NewPull(top)).ConfigureAwait(false);

    private static async ValueTask<OperatorTask> BeginAsync(BlockJob job)
    {
        await job.StartAsync().ConfigureAwait(false);
        return new OperatorTask(job);
    }

    // On one link below the newest image, which is likely to be free while a job has another part of the chain.
    private async ValueTask<OperatorTask?> BesideAsync()
    {
        IReadOnlyList<BlockNode> chain = Disk.Chain;
        int top = 1 + _random.Next(chain.Count - 2);
        return await BeginAsync(_random.Next(2) == 0
            ? new StreamJob(Disk.Root, Pick(new StreamOptions { Top = chain[top], Base = top + 2 < chain.Count ? chain[top + 2] : null })) { CopiedCheck = _options.CopiedCheck }
            : new CommitJob(Disk.Root, Pick(new CommitOptions { Top = chain[top], Base = chain[top + 1] }))).ConfigureAwait(false);
    }

    private StreamJob NewPull(int top)
    {
        IReadOnlyList<BlockNode> chain = Disk.Chain;
        int below = top + 1 + _random.Next(chain.Count - top); // the one past the last: everything
        var pull = new StreamOptions { Top = chain[top], Base = below < chain.Count ? chain[below] : null };
        return new StreamJob(Disk.Root, Pick(pull)) { CopiedCheck = _options.CopiedCheck };
    }

    private async ValueTask<OperatorTask?> CommitAsync()
        => Disk.Chain.Count > 2 ? await BeginAsync(NewCommit()).ConfigureAwait(false) : null;

    private CommitJob NewCommit()
    {
        IReadOnlyList<BlockNode> chain = Disk.Chain;
        int top = 1 + _random.Next(chain.Count - 2);
        return new CommitJob(Disk.Root, Pick(new CommitOptions { Top = chain[top], Base = chain[top + 1 + _random.Next(chain.Count - top - 1)] }));
    }

    private async ValueTask<OperatorTask?> CommitActiveAsync()
    {
        IReadOnlyList<BlockNode> chain = Disk.Chain;
        return chain.Count > 1
            ? new OperatorTask(await Disk.StartCommitAsync(PickCopy(new ActiveCommitOptions { Base = chain[1 + _random.Next(chain.Count - 1)] })).ConfigureAwait(false))
            : null;
    }

    private async ValueTask<OperatorTask?> MirrorAsync()
    {
        MirrorScope scope = Disk.Chain.Count > 1 && _random.Next(2) == 0 ? MirrorScope.Top : MirrorScope.Full;
        string format = _disk.Images.PickFormat(bottom: scope == MirrorScope.Full);
        string path = _disk.NewPath();
        MirrorJobOptions mirror = PickCopy(new MirrorJobOptions { Scope = scope });
        return new OperatorTask(await Disk.StartMirrorAsync(path, mirror, _disk.Images.New(format, path, length: null), _disk.As(format)).ConfigureAwait(false));
    }

    // Of this disk, or of all at one moment.
    private async ValueTask<OperatorTask?> SnapshotAsync()
    {
        IEnumerable<SystemDisk> disks = _random.Next(2) == 0 ? [_disk] : _run.Disks;
        DiskSnapshotResult taken = await DiskSnapshot.TakeAsync([.. disks.Select(static each => each.NewOverlay())]).ConfigureAwait(false);
        if (taken.Error is { } error && !_run.HasFaults)
        {
            throw new InvalidOperationException($"A snapshot was taken, and nobody gave what follows it reason to fail: {error.Message}", error);
        }

        _run.Report.Snapshots++;
        return null;
    }

    // To nothing, or to an image that holds something else; to that only while nobody is at the snapshots, which would show it.
    private async ValueTask<OperatorTask?> RebaseAsync()
    {
        RebaseOptions rebase = Pick(new RebaseOptions());
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
        if (await _disk.TryGrowAsync(Disk.Length + ((1 + _random.Next(48)) * (long)SectorPattern.SectorSize)).ConfigureAwait(false))
        {
            _run.Report.Resizes++;
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

    // A job on every disk; all complete, or none.
    private async ValueTask<OperatorTask?> TransactAsync()
    {
        var jobs = new List<BlockJob>();
        var targets = new List<(BlockJob Job, BlockNode Target)>();
        var verify = new List<Func<ValueTask>>();
        var moments = new List<(SystemDisk Disk, OracleRead Moment)>();
        try
        {
            foreach (SystemDisk disk in _run.Disks)
            {
                switch (_random.Next(3))
                {
                    case 0:
                        long length = disk.Oracle.Length;
                        (BackupJob backup, BlockNode node, string target) = await disk.Backups.NewFullAsync(NewBackup()).ConfigureAwait(false);
                        targets.Add((backup, node));
                        OracleRead moment = disk.Oracle.BeginRead(0, length);
                        moments.Add((disk, moment));
                        verify.Add(() => disk.Backups.VerifyAsync(target, moment, length));
                        jobs.Add(backup);
                        break;
                    case 1 when disk.Disk.Chain.Count > 2:
                        jobs.Add(new OperatorActions(_run, disk, _options, _random).NewCommit());
                        break;
                    default:
                        jobs.Add(new OperatorActions(_run, disk, _options, _random).NewPull(top: 0));
                        break;
                }
            }

            await JobTransaction.StartAsync(jobs).ConfigureAwait(false);
        }
        catch
        {
            foreach ((BlockJob job, BlockNode target) in targets.Where(static one => !one.Job.Completion.IsCompleted))
            {
                await target.DisposeAsync().ConfigureAwait(false); // never its job's
            }

            throw;
        }
        finally
        {
            moments.ForEach(static one => one.Disk.Oracle.Close(one.Moment));
        }

        return new OperatorTask([.. jobs])
        {
            Verify = async () =>
            {
                foreach (Func<ValueTask> one in verify)
                {
                    await one().ConfigureAwait(false);
                }
            },
        };
    }

    private BackupOptions NewBackup() => Pick(new BackupOptions());

    private T PickCopy<T>(T options)
        where T : LiveCopyOptions
        => Pick(options) with
        {
            CopyMode = _random.Next(2) == 0 ? MirrorCopyMode.Background : MirrorCopyMode.WriteBlocking,
            Granularity = _random.Next(2) == 0 ? 4096 : null,
        };

    private T Pick<T>(T options)
        where T : JobOptions
        => options with
        {
            BytesPerSecond = _random.Next(3) == 0 ? 1 << 20 : 0,
            OnError = (JobErrorPolicy)_random.Next(4),
            AutoFinalize = _random.Next(8) > 0,
        };
}
