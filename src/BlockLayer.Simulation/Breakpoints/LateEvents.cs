using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Delivers the events of a job late, in their order, as a slow connection does.</summary>
public static class LateEvents
{
    /// <summary>Calls <paramref name="handler"/> with every event from now on, each <paramref name="delay"/> of virtual time after it happened.</summary>
    public static void Deliver(BlockJob job, TimeSpan delay, TimeProvider time, Action<BlockJob, JobEvent> handler)
    {
        Task last = Task.CompletedTask;
        job.Notified += (_, what) => last = DeliverAsync(last, what);

        async Task DeliverAsync(Task before, JobEvent what)
        {
            Task due = Task.Delay(delay, time);
            await before.ConfigureAwait(false);
            await due.ConfigureAwait(false);
            handler(job, what);
        }
    }
}
