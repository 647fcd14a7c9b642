using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Starts a job on every disk of a run, of which all complete, or none.</summary>
internal sealed class TransactionMaker(SystemRun run, SystemOptions options, SeededRandom random)
{
    private readonly List<BlockJob> _jobs = [];
    private readonly List<(BlockJob Job, BlockNode Target)> _targets = []; // the jobs' once they are set up
    private readonly List<Func<ValueTask>> _verify = [];
    private readonly List<(SystemDisk Disk, OracleRead Moment)> _moments = [];
    private string? _backup; // the last one's file

    /// <summary>Starts them.</summary>
    /// <exception cref="Errors.BlockLayerException">One was refused, and so were all.</exception>
    internal async ValueTask<OperatorTask> StartAsync()
    {
        try
        {
            foreach (SystemDisk disk in run.Disks)
            {
                await AddAsync(disk, new JobMaker(disk, options.CopiedCheck, random)).ConfigureAwait(false);
            }

            await JobTransaction.StartAsync(_jobs).ConfigureAwait(false);
        }
        catch
        {
            foreach ((BlockJob job, BlockNode target) in _targets.Where(static one => !one.Job.Completion.IsCompleted))
            {
                await target.DisposeAsync().ConfigureAwait(false); // never its job's
            }

            throw;
        }
        finally
        {
            _moments.ForEach(static one => one.Disk.Oracle.Close(one.Moment));
        }

        return new OperatorTask([.. _jobs])
        {
            Trouble = _backup is { } file && random.Next(2) == 0 ? new TargetTrouble(run, file, random) : null,
            Verify = async () =>
            {
                foreach (Func<ValueTask> one in _verify)
                {
                    await one().ConfigureAwait(false);
                }
            },
        };
    }

    private async ValueTask AddAsync(SystemDisk disk, JobMaker maker)
    {
        switch (random.Next(5))
        {
            case 0 or 1:
                await AddBackupAsync(disk, maker).ConfigureAwait(false);
                break;
            case 2 when disk.Disk.Chain.Count > 2:
                _jobs.Add(new CommitJob(disk.Disk.Root, maker.PickCommit()));
                break;
            case 3:
                BlockNode copy = await disk.CreateRawAsync(disk.NewPath()).ConfigureAwait(false);
                _jobs.Add(new MirrorJob(disk.Disk.Root, copy, maker.PickCopy(new MirrorJobOptions())));
                _targets.Add((_jobs[^1], copy));
                break;
            default:
                _jobs.Add(maker.NewPull(top: 0));
                break;
        }
    }

    // Where its target fails, it is the backup that breaks and not what guests write.
    private async ValueTask AddBackupAsync(SystemDisk disk, JobMaker maker)
    {
        BackupOptions backup = maker.PickBackup() with { OnCopyBeforeWriteError = CopyBeforeWritePolicy.BreakSnapshot };
        long length = disk.Oracle.Length;
        (BackupJob job, BlockNode target, string path) = await disk.Backups.NewFullAsync(backup).ConfigureAwait(false);
        _targets.Add((job, target));
        _jobs.Add(job);
        _backup = path;
        OracleRead moment = disk.Oracle.BeginRead(0, length);
        _moments.Add((disk, moment));
        _verify.Add(() => disk.Backups.VerifyAsync(path, moment, length));
    }
}
