using BlockLayer.Jobs;

namespace BlockLayer.TestKit;

/// <summary>How tests end live copies.</summary>
public static class LiveCopyJobExtensions
{
    /// <summary>Changes the disk over as soon as the job is ready, and waits for its end.</summary>
    /// <returns>The end; also of a job that failed before it was ready.</returns>
    public static async Task<JobResult> SwitchWhenReadyAsync(this LiveCopyJob job)
    {
        var ready = new TaskCompletionSource();
        job.Notified += (_, what) =>
        {
            if (what is JobReady)
            {
                ready.TrySetResult();
            }
        };
        if (job.State == JobState.Ready)
        {
            ready.TrySetResult(); // before there was anybody to be told
        }

        await Task.WhenAny(ready.Task, job.Completion).ConfigureAwait(false);
        if (!job.Completion.IsCompleted)
        {
            job.Complete();
        }

        return await job.Completion.ConfigureAwait(false);
    }
}
