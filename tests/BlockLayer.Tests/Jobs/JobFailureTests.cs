using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Jobs that fail while they wait for something else, or are refused: each of them ends, for everybody who waits for that.</summary>
public class JobFailureTests
{
    private readonly SimulationScheduler _scheduler = new(1);
    private readonly BlockEnvironment _environment;

    public JobFailureTests() => _environment = TestEnvironment.Of(_scheduler);

    [Fact]
    public void A_job_that_has_failed_does_not_wait_to_be_resumed()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { Notify = ThrowAt(JobState.Running) });
            job.Pause();
            await job.StartAsync();
            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Failed, "a handler's"), (result.Outcome, result.Error?.Message));
            Assert.Equal(["set up", "clean up"], job.Hooks); // no step of its work was taken
        });

    [Fact]
    public void A_job_that_has_failed_does_not_hold_up_its_transaction()
        => _scheduler.Run(async () =>
        {
            var failing = new ScriptedJob("failing", _environment, new ScriptedJobOptions { Notify = ThrowAt(JobState.Running) });
            var other = new ScriptedJob("other", _environment);
            await JobTransaction.StartAsync([failing, other]);
            Assert.Equal(JobOutcome.Failed, (await failing.Completion).Outcome);
            Assert.Equal(JobOutcome.Cancelled, (await other.Completion).Outcome);
        });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_ready_copy_that_is_paused_fails_at_once_when_its_target_does(bool isClosed)
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { CopyMode = MirrorCopyMode.WriteBlocking });
            job.Pause();
            await disk.UntilAsync(() => job.State == JobState.Standby);
            disk.TargetSteps.FailWhen((step, _) => step is OverlayStep.Write or OverlayStep.Store ? BlockErrorKind.NoSpace : null);
            await disk.WriteAsync(unit: 6, writer: 7); // does not fail
            if (isClosed)
            {
                await disk.Root.EndUsersAsync();
            }

            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Failed, BlockErrorKind.NoSpace), (result.Outcome, ((BlockLayerException)result.Error!).Kind));
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(6, 7));
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void A_job_that_is_cancelled_and_then_refused_has_ended_cancelled()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { FailsAt = "set up" });
            job.OnHook = _ => Assert.True(job.TryCancel());
            await Assert.ThrowsAsync<BlockLayerException>(() => job.StartAsync().AsTask());
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            Assert.Equal(["set up"], job.Hooks); // and nothing is given back that was not taken
        });

    [Fact]
    public void Whoever_waits_for_a_job_that_is_refused_learns_that_nothing_comes()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { FailsAt = "set up" });
            IAsyncEnumerable<JobEvent> events = job.ReadEventsAsync();
            ValueTask<bool> ready = job.WaitUntilReadyAsync();
            await Assert.ThrowsAsync<BlockLayerException>(() => job.StartAsync().AsTask());
            Assert.False(await ready);
            Assert.Equal([new JobStateChanged(JobState.Null)], await events.ToListAsync());
            Assert.False(job.Completion.IsCompleted);
        });

    private static Action<BlockJob, JobEvent> ThrowAt(JobState state) => (_, what) =>
    {
        if (what is JobStateChanged { State: var now } && now == state)
        {
            throw new InvalidOperationException("a handler's");
        }
    };
}
