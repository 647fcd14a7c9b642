using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One to three jobs of any kind in a transaction, each on a disk of its own. They are completed, finalized and cancelled at any moment, also by handlers of their events, and
/// storage may fail.
/// </summary>
internal sealed class CancelWorld
{
    private const int Length = 256 * 1024;

    private readonly SimulatedMachine _machine;
    private readonly SeededRandom _random;
    private readonly List<Answer> _answers = [];

    internal CancelWorld(ulong seed)
    {
        _machine = new SimulatedMachine(seed);
        _random = new SeededRandom(seed);
    }

    /// <summary>Sees that each answer came true, and gives the answers with the outcomes.</summary>
    internal IReadOnlyList<(bool Answer, JobOutcome Outcome)> Run()
    {
        _machine.Run(RunAsync);
        foreach (Answer answer in _answers.Where(static answer => answer.Accepted))
        {
            Assert.True(
                answer.Softly ? answer.Job is LiveCopyJob { HasSwitched: false } : answer.Outcome == JobOutcome.Cancelled,
                $"seed {_machine.Scheduler.Seed}: {answer.Job} took a cancel ({(answer.Softly ? "softly" : "for good")}) when {answer.State}, and ended {answer.Outcome}");
        }

        return [.. _answers.Select(static answer => (answer.Accepted, answer.Outcome))];
    }

    private async Task RunAsync()
    {
        await (await _machine.CreateAsync("/base", Length)).DisposeAsync();
        var disks = new List<Disk>();
        var jobs = new List<BlockJob>();
        for (int i = _random.Next(3); i >= 0; i--)
        {
            Disk disk = await _machine.CreateAsync($"/disk{i}", Length, "/base");
            disks.Add(disk);
            await disk.WriteAsync(0, new byte[Length / 2]);
            jobs.Add(await NewJobAsync(disk, i));
        }

        foreach (BlockJob job in jobs)
        {
            int left = _random.Next(12);
            job.Notified += (_, _) =>
            {
                if (--left == 0)
                {
                    Cancel(jobs[_random.Next(jobs.Count)]);
                }
            };
        }

        Task<JobTransaction> start = JobTransaction.StartAsync(jobs).AsTask();
        Task meddling = MeddleAsync(jobs);
        await start;
        await Task.WhenAll(meddling, EndAsync(jobs));
        foreach (Disk disk in disks)
        {
            await CloseAsync(disk);
        }
    }

    private async Task CloseAsync(Disk disk)
    {
        try
        {
            await disk.DisposeAsync();
        }
        catch (BlockLayerException) when (_machine.Storage.Faults.Hits > 0)
        {
            // A flush that failed is final for its file.
        }
    }

    private async Task<BlockJob> NewJobAsync(Disk disk, int number)
    {
        bool autoFinalize = _random.Next(2) == 0;
        switch (_random.Next(6))
        {
            case 0:
                return new StreamJob(disk.Root, new StreamOptions { AutoFinalize = autoFinalize });
            case 1:
                return new RebaseJob(disk.Root, new RebaseOptions { AutoFinalize = autoFinalize });
            case 2 or 3 or 4:
                return new MirrorJob(disk.Root, await CreateTargetAsync($"/copy{number}"), new MirrorJobOptions { AutoFinalize = autoFinalize });
            default:
                return new BackupJob(disk.Root, await CreateTargetAsync($"/copy{number}"), new BackupOptions { AutoFinalize = autoFinalize });
        }
    }

    private async Task<BlockNode> CreateTargetAsync(string path)
    {
        await (await _machine.CreateAsync(path, Length)).DisposeAsync();
        var how = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite };
        return await new ImageOpener(BuiltInFormats.All, _machine.Environment).OpenAsync(path, how, CancellationToken.None);
    }

    // Cancels jobs at moments around those at which they end.
    private async Task MeddleAsync(List<BlockJob> jobs)
    {
        for (int i = 1 + _random.Next(4); i > 0; i--)
        {
            await _machine.PassAsync(TimeSpan.FromMicroseconds(1 + _random.Next(_random.Next(2) == 0 ? 2_000 : 60_000)));
            Cancel(jobs[_random.Next(jobs.Count)]);
        }
    }

    // Completes, finalizes, or cancels in the end what does not end by itself.
    private async Task EndAsync(List<BlockJob> jobs)
    {
        if (_random.Next(2) == 0)
        {
            _machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write | StorageOperations.Flush, Skip = _random.Next(12) });
        }

        while (jobs.Exists(static job => !job.Completion.IsCompleted))
        {
            await _machine.PassAsync(TimeSpan.FromMicroseconds(1 + _random.Next(4_000)));
            BlockJob job = jobs[_random.Next(jobs.Count)];
            try
            {
                if (IsReady(job) && _random.Next(2) == 0)
                {
                    Cancel(job);
                }
                else if (IsReady(job))
                {
                    job.Complete();
                }
                else if (job.State == JobState.Pending)
                {
                    job.FinalizeJob();
                }
            }
            catch (JobVerbException)
            {
                // It is to end without changing over, or is being finalized.
            }
        }
    }

    private static bool IsReady(BlockJob job) => job.State is JobState.Ready or JobState.Standby;

    private void Cancel(BlockJob job)
    {
        bool force = _random.Next(2) == 0;
        var answer = new Answer(job, job.State, Softly: !force && job is LiveCopyJob && IsReady(job));
        _answers.Add(answer);
        answer.Accepted = job.TryCancel(force);
    }

    private sealed record Answer(BlockJob Job, JobState State, bool Softly)
    {
        internal bool Accepted { get; set; }

        internal JobOutcome Outcome => Job.Completion.Result.Outcome;
    }
}
