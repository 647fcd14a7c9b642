using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>Starts jobs on a disk, one after the other, disturbs them, and judges how they end.</summary>
internal sealed class SystemOperator(SystemRun run, SystemDisk disk, SystemOptions options, SeededRandom random)
{
    private const int Patience = 12; // looks at a job, after which it is left in peace
    private const int Despair = 100; // and after which it is ended, if a fault may keep it from its end: some errors stay, and some jobs try for ever

    private readonly TimeProvider _time = run.Machine.Scheduler.Time;
    private readonly OperatorActions _actions = new(run, disk, options, random.Fork(1));
    private readonly JobUser _user = new(run, random.Fork(2));

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

    // Until all have ended.
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
                cancelled |= asked > Despair && run.HasFaults ? job.TryCancel(force: true) : _user.Ask(job, calm: asked > Patience);
            }
        }

        JobResult[] results = await all.ConfigureAwait(false);
        disk.JobsAtWork--;
        task.Trouble?.End();
        await JudgeAsync(task, results, cancelled).ConfigureAwait(false);
    }

    private async Task JudgeAsync(OperatorTask task, JobResult[] results, bool cancelled)
    {
        bool hasTrouble = task.Trouble is { HasHit: true };
        bool mayFail = run.HasFaults || hasTrouble;
        for (int i = 0; i < results.Length; i++)
        {
            Trace($"{task.Jobs[i]} ended: {results[i].Outcome} {results[i].Error?.Message}");
            Count(task.Jobs[i], results[i], mayFail, mayBeCancelled: cancelled || (mayFail && results.Length > 1));
            _user.TakeLeave(task.Jobs[i], results[i]);
        }

        bool completed = results.All(static result => result.Outcome == JobOutcome.Completed);
        if (!completed && !run.HasFaults && results.Any(static result => result.Outcome == JobOutcome.Completed))
        {
            throw new InvalidOperationException($"Of one transaction {string.Join(", ", task.Jobs.Zip(results, static (job, result) => $"{job} ended as {result.Outcome}"))}.");
        }

        Note(hasTrouble ? Corner.TargetFaults : null);
        Note(completed ? task.Remark : null);
        Note(results.Length == 1 ? null
            : completed ? Corner.CompletedTransactions
            : results.Any(static result => result.Outcome == JobOutcome.Failed) ? Corner.FailedTransactions : Corner.CancelledTransactions);
        await (completed && task.Verify is { } verify ? verify() : ValueTask.CompletedTask).ConfigureAwait(false);
        task.Ended?.Invoke(completed);
        foreach (JobResult result in results.Where(static result => result.Outcome == JobOutcome.Completed))
        {
            await DeleteAsync(result.Files.Unneeded).ConfigureAwait(false);
        }
    }

    private void Count(BlockJob job, JobResult result, bool mayFail, bool mayBeCancelled)
    {
        switch (result.Outcome)
        {
            case JobOutcome.Completed:
                run.Report.Completed++;
                break;
            case JobOutcome.Cancelled when mayBeCancelled:
                run.Report.Cancelled++;
                break;
            case JobOutcome.Failed when mayFail:
                run.Report.Failed++;
                break;
            case JobOutcome.Failed when IsOvertaken(result):
                run.Report.Refused++;
                break;
            default:
                throw new InvalidOperationException($"{job} ended as {result.Outcome}, and nobody gave it reason to: {result.Error?.Message}", result.Error);
        }
    }

    // Another job has brought an image to where this one's has to name it, and of this format it cannot: QED knows no add-cow.
    private bool IsOvertaken(JobResult result)
        => result.Error is BlockLayerException { Kind: BlockErrorKind.Unsupported }
            && disk.Disk.Chain.Select(static image => image.DriverName) is var formats && formats.SkipWhile(static format => format != "qed").Contains("add-cow");

    // What a job says is of no use any more: users delete it, and the disk has to do without. Two jobs at one time may both have seen it go.
    private async Task DeleteAsync(IReadOnlyList<string> unneeded)
    {
        StorageProvider files = run.Machine.Environment.Files;
        foreach (string file in unneeded.Where(file => random.Next(4) > 0 && files.GetInfo(file) is not null))
        {
            if (run.Disks.Any(each => JobFiles.NamesOf(each.Disk.Chain).Contains(file)))
            {
                throw new InvalidOperationException($"'{file}' is in use, and a job said that it is not.");
            }

            try
            {
                await files.DeleteAsync(file, CancellationToken.None).ConfigureAwait(false);
                run.Report.Corners.Visit(Corner.DeletedFiles);
                Trace($"deleted {file}");
            }
            catch (BlockLayerException error) when (run.HasFaults || error.Kind == BlockErrorKind.NotFound)
            {
                Trace($"could not delete {file}: {error.Message}");
            }
        }
    }

    private void Note(Corner? corner)
    {
        if (corner is { } there)
        {
            run.Report.Corners.Visit(there);
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
