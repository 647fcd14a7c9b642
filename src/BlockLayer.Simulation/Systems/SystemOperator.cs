using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Starts jobs on a disk, one after the other, and does to them what users do: pauses, limits, cancels, completes.</summary>
internal sealed class SystemOperator(SystemRun run, SystemDisk disk, SystemOptions options, SeededRandom random)
{
    private readonly TimeProvider _time = run.Machine.Scheduler.Time;

    private Disk Disk => disk.Disk;

    internal async Task WorkAsync()
    {
        for (int i = 0; i < options.Jobs; i++)
        {
            await PassAsync(milliseconds: 30).ConfigureAwait(false);
            try
            {
                BlockJob? job = await StartAsync().ConfigureAwait(false);
                if (job is not null)
                {
                    Trace($"{job} runs");
                    await AttendAsync(job).ConfigureAwait(false);
                }
            }
            catch (BlockLayerException refusal) when (IsExpected(refusal))
            {
                run.Report.Refused++;
                Trace($"refused ({refusal.Kind}): {refusal.Message}");
            }
        }
    }

    private void Trace(FormattableString what)
    {
        if (options.Trace is { } trace)
        {
            string chain = string.Join(" -> ", Disk.Chain.Select(static image => image.NodeName));
            trace(FormattableString.Invariant($"{run.Machine.Scheduler.Elapsed.TotalMilliseconds,9:0.000} ms  ") + FormattableString.Invariant(what) + $"  [{chain}]");
        }
    }

    private bool IsExpected(BlockLayerException refusal) => refusal.Kind is BlockErrorKind.Conflict or BlockErrorKind.NotFound or BlockErrorKind.Unsupported || run.HasFaults;

    private async ValueTask<BlockJob?> StartAsync()
    {
        IReadOnlyList<BlockNode> chain = Disk.Chain;
        switch (random.Next(6))
        {
            case 0:
                return await PullAsync(chain, top: 0).ConfigureAwait(false);
            case 1:
                return await PullAsync(chain, top: random.Next(chain.Count)).ConfigureAwait(false);
            case 5:
                await SnapshotAsync().ConfigureAwait(false);
                return null;
            case 2 when chain.Count > 2:
                int top = 1 + random.Next(chain.Count - 2);
                return await Disk.StartCommitAsync(new CommitOptions
                {
                    Top = chain[top],
                    Base = chain[top + 1 + random.Next(chain.Count - top - 1)],
                    BytesPerSecond = PickSpeed(),
                    OnError = PickPolicy(),
                }).ConfigureAwait(false);
            case 2 or 3 when chain.Count > 1:
                return await Disk.StartCommitAsync(new ActiveCommitOptions
                {
                    Base = chain[1 + random.Next(chain.Count - 1)],
                    CopyMode = PickCopyMode(),
                    BytesPerSecond = PickSpeed(),
                    OnError = PickPolicy(),
                }).ConfigureAwait(false);
            case 4 when random.Next(3) == 0:
                string saved = disk.NewPath();
                await (await Disk.CreateAsync(saved, SystemDisk.NewImage("raw", backing: null), disk.As("raw")).ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
                return await Disk.StartBackupAsync(saved, new BackupOptions { BytesPerSecond = PickSpeed(), OnError = PickPolicy() }, disk.As("raw")).ConfigureAwait(false);
            default:
                return await MirrorAsync().ConfigureAwait(false);
        }
    }

    private async ValueTask<BlockJob> PullAsync(IReadOnlyList<BlockNode> chain, int top)
    {
        int below = top + 1 + random.Next(chain.Count - top); // the one past the last: everything
        var pull = new StreamOptions
        {
            Top = chain[top],
            Base = below < chain.Count ? chain[below] : null,
            BytesPerSecond = PickSpeed(),
            OnError = PickPolicy(),
        };
        var job = new StreamJob(Disk.Root, pull);
        return await Disk.StartAsync(options.SabotagePull?.Invoke(job) ?? job, CancellationToken.None).ConfigureAwait(false);
    }

    // Of this disk, or of all at one moment.
    private async ValueTask SnapshotAsync()
    {
        IEnumerable<SystemDisk> disks = random.Next(2) == 0 ? [disk] : run.Disks;
        await DiskSnapshot.TakeAsync([.. disks.Select(each => each.NewOverlay())]).ConfigureAwait(false);
        run.Report.Snapshots++;
    }

    private async ValueTask<BlockJob> MirrorAsync()
    {
        MirrorScope scope = Disk.Chain.Count > 1 && random.Next(2) == 0 ? MirrorScope.Top : MirrorScope.Full;
        string format = disk.PickFormat(bottom: scope == MirrorScope.Full);
        var mirror = new MirrorJobOptions { Scope = scope, CopyMode = PickCopyMode(), BytesPerSecond = PickSpeed(), OnError = PickPolicy() };
        return await Disk.StartMirrorAsync(disk.NewPath(), mirror, SystemDisk.NewImage(format, backing: null), disk.As(format)).ConfigureAwait(false);
    }

    // Until it has ended. A verb that it does not take just now is no matter: users ask for whatever comes to their minds.
    private async Task AttendAsync(BlockJob job)
    {
        bool cancelled = false;
        for (int asked = 0; !job.Completion.IsCompleted; asked++)
        {
            await Task.WhenAny(job.Completion, Task.Delay(TimeSpan.FromMilliseconds(1 + random.Next(40)), _time)).ConfigureAwait(false);
            try
            {
                cancelled |= Ask(job, calm: asked > 12);
            }
            catch (JobVerbException)
            {
                continue;
            }
        }

        JobResult result = await job.Completion.ConfigureAwait(false);
        Trace($"{job} ended: {result.Outcome} {result.Error?.Message}");
        switch (result.Outcome)
        {
            case JobOutcome.Completed:
                run.Report.Completed++;
                break;
            case JobOutcome.Cancelled when cancelled:
                run.Report.Cancelled++;
                break;
            case JobOutcome.Failed when run.HasFaults:
                run.Report.Failed++;
                break;
            default:
                throw new InvalidOperationException($"{job} ended as {result.Outcome}, and nobody gave it reason to: {result.Error?.Message}", result.Error);
        }
    }

    // True when the job was cancelled.
    private bool Ask(BlockJob job, bool calm)
    {
        if (job.State == JobState.Ready && random.Next(3) == 0)
        {
            if (random.Next(4) == 0)
            {
                return job.TryCancel(force: random.Next(2) == 0);
            }

            job.Complete();
            return false;
        }

        if (job.GetInfo().IsPaused)
        {
            job.Resume(); // whoever paused it
            return false;
        }

        switch (calm ? 1 : random.Next(12))
        {
            case 0:
                job.Pause();
                return false;
            case 1:
                job.BytesPerSecond = calm ? 0 : PickSpeed();
                return false;
            case 2:
                return job.TryCancel(force: random.Next(2) == 0);
            default:
                return false;
        }
    }

    private long PickSpeed() => random.Next(3) == 0 ? 1 << 20 : 0;

    private JobErrorPolicy PickPolicy() => (JobErrorPolicy)random.Next(4);

    private MirrorCopyMode PickCopyMode() => random.Next(2) == 0 ? MirrorCopyMode.Background : MirrorCopyMode.WriteBlocking;

    private Task PassAsync(int milliseconds) => Task.Delay(TimeSpan.FromMilliseconds(random.Next(milliseconds)), _time);
}
