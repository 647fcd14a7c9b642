using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Real threads: one cancels a job at the moment at which another ends its work.</summary>
public class CancelStress
{
    [Fact]
    public async Task A_cancel_that_races_with_the_finalizing_says_how_the_job_ends()
    {
        var environment = new BlockEnvironment { Files = new MemoryStorageProvider(), Work = ThreadPoolWorkScheduler.Instance, Time = TimeProvider.System };
        int cancelled = 0;
        int rounds = Effort.Times(300);
        for (int round = 0; round < rounds; round++)
        {
            var job = new ScriptedJob("tested", environment);
            await job.StartAsync();
            Task<bool> cancel = Task.Run(() =>
            {
                while (job.State is JobState.Created or JobState.Running)
                {
                    // spins: who yields comes too late, once the work is over
                }

                return job.TryCancel(force: true);
            });
            job.LetGo();
            JobOutcome outcome = (await job.Completion).Outcome;
            Assert.Equal(await cancel ? JobOutcome.Cancelled : JobOutcome.Completed, outcome);
            cancelled += outcome == JobOutcome.Cancelled ? 1 : 0;
        }

        TestContext.Current.TestOutputHelper!.WriteLine($"{cancelled} of {rounds} were cancelled");
    }
}
