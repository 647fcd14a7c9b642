using BlockLayer.Jobs;

namespace BlockLayer.TestKit;

/// <summary>How tests end live copies.</summary>
public static class LiveCopyJobExtensions
{
    /// <summary>Changes the disk over as soon as the job is ready, and waits for its end.</summary>
    /// <returns>The end; also of a job that failed before it was ready.</returns>
    public static async Task<JobResult> SwitchWhenReadyAsync(this LiveCopyJob job)
    {
        if (await job.WaitUntilReadyAsync().ConfigureAwait(false))
        {
            job.Complete();
        }

        return await job.Completion.ConfigureAwait(false);
    }
}
