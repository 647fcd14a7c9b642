using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.TestKit;

/// <summary>Waits for moments in the lives of jobs, without polling and in real time as in virtual.</summary>
public static class JobMoments
{
    /// <summary>Waits until a job is ready to be completed; fails if it ends before.</summary>
    public static async Task WhenReadyAsync(this BlockJob job)
    {
        Assert.True(await job.WaitUntilReadyAsync(), "the job ended before it was ready");
    }

    /// <summary>Completes a job once it is ready, and waits for its end, which is a good one.</summary>
    public static async Task<JobResult> CompleteWhenReadyAsync(this BlockJob job)
    {
        await job.WhenReadyAsync();
        job.Complete();
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        return result;
    }
}
