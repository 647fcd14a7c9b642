using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>
/// Stops a job between two steps, when it has dealt with so many bytes. Not a pause: users and drains see a job at work. Verbs that come meanwhile take effect
/// when it goes on.
/// </summary>
public sealed class JobBreakpoint : Breakpoint
{
    private readonly BlockJob _job;
    private readonly long _bytes;
    private Func<ValueTask>? _before; // another breakpoint of the same job

    private JobBreakpoint(BlockJob job, long bytes) => (_job, _bytes) = (job, bytes);

    /// <summary>Stops a job that has not gone so far yet. From now on it takes one step of one copy unit at a time, so that it stops where it is to.</summary>
    /// <param name="job">The job, started or not.</param>
    /// <param name="bytes">It stops at the first step at which this many bytes, or more, are copied or skipped (<see cref="BlockJob.Progress"/>).</param>
    public static JobBreakpoint After(BlockJob job, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        var breakpoint = new JobBreakpoint(job, bytes);
        job.TakesSmallSteps = true;
        breakpoint._before = job.AtCheckpoint;
        job.AtCheckpoint = breakpoint.AtCheckpointAsync;
        return breakpoint;
    }

    private async ValueTask AtCheckpointAsync()
    {
        if (_before is not null)
        {
            await _before().ConfigureAwait(false);
        }

        if (_job.Progress.Current >= _bytes)
        {
            await StopAsync().ConfigureAwait(false);
        }
    }
}
