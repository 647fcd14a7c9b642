using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Jobs that sleep for their limit, for days if nobody wakes them.</summary>
public class SleepingJobTests
{
    public static TheoryData<string> Kinds => JobBench.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_pause_reaches_it_at_once_and_costs_no_step(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind, bytesPerSecond: 1);
            await job.StartAsync();
            await bench.Machine.PassAsync(TimeSpan.FromMinutes(1));
            JobProgress progress = job.Progress;
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal(JobState.Running, job.State);
                job.Pause();
                await bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
                Assert.Equal(JobState.Paused, job.State);
                job.Resume();
                await bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
            }

            Assert.Equal(progress, job.Progress);
            job.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await bench.EndAsync(job)).Outcome);
        });
        Assert.InRange(bench.Machine.Scheduler.Elapsed.TotalMinutes, 1, 2);
    }
}
