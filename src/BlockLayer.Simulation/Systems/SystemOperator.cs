using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Starts jobs on a disk, one after the other, and does to them what users do: pauses, limits, cancels, completes.</summary>
internal sealed class SystemOperator(SystemRun run, SystemDisk disk, SystemOptions options, SeededRandom random)
{
    private readonly TimeProvider _time = run.Machine.Scheduler.Time;
    private readonly OperatorActions _actions = new(run, disk, options, random.Fork(1));

    private long Lengths => run.Disks.Sum(static each => each.Disk.Length);

    internal async Task WorkAsync()
    {
        for (int i = 0; i < options.Jobs; i++)
        {
            await PassAsync(milliseconds: 30).ConfigureAwait(false);
            await ActAsync(isNested: false).ConfigureAwait(false);
        }
    }

    private async Task ActAsync(bool isNested)
    {
        (BlockNode newest, long lengths) = (disk.Disk.Root.SkipFilters(), Lengths);
        OperatorTask? task;
        try
        {
            task = await _actions.StartAsync().ConfigureAwait(false);
        }
        catch (BlockLayerException refusal) when (IsExpected(refusal, newest, lengths))
        {
            run.Report.Refused++;
            Trace($"refused ({refusal.Kind}): {refusal.Message}");
            return;
        }

        if (task is not null)
        {
            await AttendAsync(task, isNested).ConfigureAwait(false);
        }
    }

    // Other jobs are at work, or have changed the chain meanwhile. A disk has grown after a target was made for it; or a snapshot was taken while a bitmap
    // waited for its turn to be added to what was the newest image then.
    private bool IsExpected(BlockLayerException refusal, BlockNode newest, long lengths)
        => run.HasFaults
            || refusal.Kind is BlockErrorKind.Conflict or BlockErrorKind.NotFound or BlockErrorKind.Unsupported
            || (refusal.Kind == BlockErrorKind.OutOfRange && Lengths != lengths)
            || (refusal.Kind == BlockErrorKind.ReadOnly && disk.Disk.Root.SkipFilters() != newest);

    // Until all have ended. A verb that a job does not take just now is no matter: users ask for whatever comes to their minds.
    private async Task AttendAsync(OperatorTask task, bool isNested)
    {
        Trace($"{string.Join(", ", task.Jobs.AsEnumerable())} runs");
        run.Report.Parallel += disk.JobsAtWork > 0 ? 1 : 0;
        run.Report.Nested += isNested ? 1 : 0;
        disk.JobsAtWork++;
        bool cancelled = false;
        Task<JobResult[]> all = Task.WhenAll(task.Jobs.Select(static job => job.Completion));
        for (int asked = 0; !all.IsCompleted; asked++)
        {
            await Task.WhenAny(all, PassAsync(milliseconds: 40)).ConfigureAwait(false);
            BlockJob job = task.Jobs[random.Next(task.Jobs.Length)];
            if (job.State == JobState.Ready && !isNested && random.Next(4) == 0)
            {
                await ActAsync(isNested: true).ConfigureAwait(false);
            }
            else
            {
                cancelled |= Ask(job, calm: asked > 12);
            }
        }

        JobResult[] results = await all.ConfigureAwait(false);
        disk.JobsAtWork--;
        for (int i = 0; i < results.Length; i++)
        {
            Trace($"{task.Jobs[i]} ended: {results[i].Outcome} {results[i].Error?.Message}");
            Count(task.Jobs[i], results[i], cancelled || (run.HasFaults && results.Length > 1));
        }

        bool completed = results.All(static result => result.Outcome == JobOutcome.Completed);
        if (!completed && !run.HasFaults && results.Any(static result => result.Outcome == JobOutcome.Completed))
        {
            throw new InvalidOperationException($"Of one transaction {string.Join(", ", task.Jobs.Zip(results, static (job, result) => $"{job} ended as {result.Outcome}"))}.");
        }

        await (completed && task.Verify is { } verify ? verify() : ValueTask.CompletedTask).ConfigureAwait(false);
        task.Ended?.Invoke(completed);
    }

    private void Count(BlockJob job, JobResult result, bool mayBeCancelled)
    {
        switch (result.Outcome)
        {
            case JobOutcome.Completed:
                run.Report.Completed++;
                break;
            case JobOutcome.Cancelled when mayBeCancelled:
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
        try
        {
            switch (job.State)
            {
                case JobState.Ready when random.Next(3) == 0:
                    if (random.Next(4) == 0)
                    {
                        return job.TryCancel(force: random.Next(2) == 0);
                    }

                    job.Complete();
                    return false;
                case JobState.Pending:
                    job.FinalizeJob();
                    return false;
                default:
                    return Disturb(job, calm);
            }
        }
        catch (JobVerbException)
        {
            return false;
        }
    }

    private bool Disturb(BlockJob job, bool calm)
    {
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
                job.BytesPerSecond = calm ? 0 : 1 << 20;
                return false;
            case 2:
                return job.TryCancel(force: random.Next(2) == 0);
            default:
                return false;
        }
    }

    private Task PassAsync(int milliseconds) => Task.Delay(TimeSpan.FromMilliseconds(1 + random.Next(milliseconds)), _time);

    private void Trace(FormattableString what)
    {
        if (options.Trace is { } trace)
        {
            string chain = string.Join(" -> ", disk.Disk.Chain.Select(static image => image.NodeName));
            trace(FormattableString.Invariant($"{run.Machine.Scheduler.Elapsed.TotalMilliseconds,9:0.000} ms  ") + FormattableString.Invariant(what) + $"  [{chain}]");
        }
    }
}
