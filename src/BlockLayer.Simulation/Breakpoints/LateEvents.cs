using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Delivers the events of a job late, in their order, as a slow connection does.</summary>
public static class LateEvents
{
    /// <summary>
    /// Calls <paramref name="handler"/> with every event from now on, each <paramref name="delay"/> of virtual time after it happened. What is due after the end of the run is not delivered: let time
    /// pass. What the handler throws ends the run.
    /// </summary>
    public static void Deliver(BlockJob job, TimeSpan delay, TimeProvider time, Action<BlockJob, JobEvent> handler)
    {
        var late = new Queue<JobEvent>();
        job.Notified += (_, what) =>
        {
            late.Enqueue(what);
            time.CreateTimer(_ => handler(job, late.Dequeue()), state: null, delay, Timeout.InfiniteTimeSpan); // whichever of two timers of one moment rings first, the older event comes first
        };
    }
}
