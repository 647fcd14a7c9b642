using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Does to jobs what users do, in any state, as it comes to their minds: pauses, limits, cancels, completes, finalizes, dismisses.</summary>
internal sealed class JobUser(SystemRun run, SeededRandom random)
{
    private readonly List<BlockJob> _resumed = []; // after an error

    private CornerCounts Corners => run.Report.Corners;

    /// <summary>Asks something of a job.</summary>
    /// <param name="job">The job.</param>
    /// <param name="calm">Leave it in peace, so that it comes to its end.</param>
    /// <returns>True when it was cancelled. A verb that the job does not take just now is no matter.</returns>
    internal bool Ask(BlockJob job, bool calm)
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
                    Corners.Visit(Corner.Finalizations);
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

    /// <summary>Forgets a job that is over, unless it went by itself.</summary>
    internal void TakeLeave(BlockJob job, JobResult result)
    {
        if (result.Outcome == JobOutcome.Completed && _resumed.Contains(job))
        {
            Corners.Visit(Corner.LateSuccesses);
        }

        if (!job.GetInfo().AutoDismiss)
        {
            job.Dismiss();
            Corners.Visit(Corner.Dismissals);
        }
    }

    private bool Disturb(BlockJob job, bool calm)
    {
        if (job.GetInfo() is { IsPaused: true } paused)
        {
            job.Resume(); // whoever paused it
            if (paused.IoStatus != JobIoStatus.Ok)
            {
                _resumed.Add(job);
                Corners.Visit(Corner.Resumptions);
            }

            return false;
        }

        switch (calm ? 1 : random.Next(12))
        {
            case 0:
                job.Pause();
                Corners.Visit(Corner.Pauses);
                return false;
            case 1:
                job.BytesPerSecond = calm ? 0 : 1 << 20;
                Corners.Visit(Corner.LimitChanges);
                return false;
            case 2:
                return job.TryCancel(force: random.Next(2) == 0);
            case 3 when job is LiveCopyJob { CopyMode: MirrorCopyMode.Background } copy:
                copy.ChangeCopyMode(MirrorCopyMode.WriteBlocking);
                Corners.Visit(Corner.ModeChanges);
                return false;
            default:
                return false;
        }
    }
}
