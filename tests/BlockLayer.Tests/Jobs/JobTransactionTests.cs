using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Jobs that are finalized together or not at all.</summary>
public class JobTransactionTests
{
    private readonly SimulationScheduler _scheduler = new(1);
    private readonly BlockEnvironment _environment;

    public JobTransactionTests() => _environment = TestEnvironment.Of(_scheduler);

    [Fact]
    public void Nobody_is_pending_before_everybodys_work_is_done()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = await StartAsync(new(), new(), new());
            jobs[0].LetGo();
            jobs[2].LetGo();
            await Task.Delay(TimeSpan.FromHours(1), _scheduler.Time);
            Assert.Equal([JobState.Waiting, JobState.Running, JobState.Waiting], jobs.Select(job => job.State));
            Assert.DoesNotContain(jobs, job => job.Hooks.Contains("prepare"));
            jobs[1].LetGo();
            foreach (ScriptedJob job in jobs)
            {
                Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
                Assert.Equal(["set up", "work", "prepare", "commit", "clean up"], job.Hooks);
            }
        });

    [Fact]
    public void One_that_is_not_finalized_by_itself_holds_all_until_one_is_told()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = await StartAsync(new(), new() { AutoFinalize = false });
            jobs[0].LetGo();
            jobs[1].LetGo();
            await Task.Delay(TimeSpan.FromHours(1), _scheduler.Time);
            Assert.Equal([JobState.Pending, JobState.Pending], jobs.Select(job => job.State));
            Assert.Equal([0, 1], jobs.Select(job => job.Events.OfType<JobPending>().Count()));
            jobs[0].FinalizeJob();
            Assert.All(await Task.WhenAll(jobs.Select(job => job.Completion)), result => Assert.Equal(JobOutcome.Completed, result.Outcome));
        });

    [Theory]
    [InlineData("work")]
    [InlineData("prepare")]
    public void One_that_fails_before_the_commit_cancels_the_others(string failsAt)
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = await StartAsync(new(), new() { FailsAt = failsAt }, new());
            jobs[0].LetGo();
            if (failsAt == "prepare")
            {
                jobs[1].LetGo();
                jobs[2].LetGo();
            }

            JobResult[] results = await Task.WhenAll(jobs.Select(job => job.Completion));
            Assert.Equal([JobOutcome.Cancelled, JobOutcome.Failed, JobOutcome.Cancelled], results.Select(result => result.Outcome));
            Assert.Equal($"{failsAt} fails", results[1].Error?.Message);
            Assert.All(jobs, job => Assert.Equal("clean up", job.Hooks[^1]));
            Assert.DoesNotContain(jobs, job => job.Hooks.Contains("commit"));
        });

    [Fact]
    public void A_commit_that_fails_leaves_those_before_it_committed_and_cancels_those_behind_it()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = await StartAsync(new(), new() { FailsAt = "commit" }, new());
            foreach (ScriptedJob job in jobs)
            {
                job.LetGo();
            }

            JobResult[] results = await Task.WhenAll(jobs.Select(job => job.Completion));
            Assert.Equal([JobOutcome.Completed, JobOutcome.Failed, JobOutcome.Cancelled], results.Select(result => result.Outcome));
            Assert.DoesNotContain("commit", jobs[2].Hooks);
        });

    [Fact]
    public void What_fails_behind_the_commit_is_told_beside_the_success()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = await StartAsync(new(), new() { FailsAt = "clean up" });
            foreach (ScriptedJob job in jobs)
            {
                job.LetGo();
            }

            JobResult[] results = await Task.WhenAll(jobs.Select(job => job.Completion));
            Assert.Equal([JobOutcome.Completed, JobOutcome.Completed], results.Select(result => result.Outcome));
            Assert.Equal([null, "clean up fails"], results.Select(result => result.Error?.Message));
        });

    [Fact]
    public void One_that_cannot_be_set_up_keeps_all_from_starting()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = [Job(new()), Job(new() { FailsAt = "set up" }), Job(new())];
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await JobTransaction.StartAsync(jobs));
            Assert.Equal("set up fails", refusal.Message);
            Assert.Equal(JobOutcome.Cancelled, (await jobs[0].Completion).Outcome);
            Assert.Equal(["set up", "clean up"], jobs[0].Hooks);
            Assert.Equal([JobState.Null, JobState.Null, JobState.Created], jobs.Select(job => job.State));
        });

    // QEMU: job_txn_abort, one that ends early force-cancels all of its transaction, whatever state they are in.
    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(0, 2)]
    public void One_that_is_cancelled_while_others_are_set_up_cancels_all(int duringSetUpOf, int cancelled)
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = [Job(new()), Job(new()), Job(new())];
            jobs[duringSetUpOf].OnHook = hook =>
            {
                if (hook == "set up")
                {
                    jobs[cancelled].Cancel();
                }
            };
            JobTransaction transaction = await JobTransaction.StartAsync(jobs);
            Assert.Equal(jobs, transaction.Jobs);
            Assert.All(jobs, job =>
            {
                Assert.True(job.Completion.IsCompletedSuccessfully);
                Assert.Equal(JobOutcome.Cancelled, job.Completion.Result.Outcome);
                Assert.Equal(["set up", "clean up"], job.Hooks); // what they were given to own, each has closed
                Assert.Equal([JobState.Aborting, JobState.Concluded, JobState.Null], job.States);
            });
        });

    [Fact]
    public void One_that_was_cancelled_behind_one_that_is_refused_ends_too()
        => _scheduler.Run(async () =>
        {
            ScriptedJob[] jobs = [Job(new()), Job(new() { FailsAt = "set up" }), Job(new())];
            jobs[1].OnHook = _ => jobs[2].Cancel();
            await Assert.ThrowsAsync<BlockLayerException>(async () => await JobTransaction.StartAsync(jobs));
            Assert.Equal([JobState.Null, JobState.Null, JobState.Null], jobs.Select(job => job.State));
            Assert.Equal(JobOutcome.Cancelled, (await jobs[2].Completion).Outcome);
            Assert.Empty(jobs[2].Hooks);
        });

    [Fact]
    public void Jobs_of_which_one_cannot_be_a_member_are_left_as_they_are()
        => _scheduler.Run(async () =>
        {
            ScriptedJob first = Job(new());
            ScriptedJob ended = Job(new());
            ended.Cancel();
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await JobTransaction.StartAsync([first, ended]));
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await JobTransaction.StartAsync([first, first]));
            Assert.Empty(first.Hooks);
            await first.StartAsync();
            first.LetGo();
            Assert.Equal(JobOutcome.Completed, (await first.Completion).Outcome);
        });

    [Fact]
    public void A_cancel_that_comes_while_they_are_finalized_is_refused()
        => _scheduler.Run(async () =>
        {
            ScriptedJob job = (await StartAsync(new ScriptedJobOptions()))[0];
            Exception? refusal = null;
            bool? tried = null;
            job.OnHook = hook =>
            {
                if (hook == "commit")
                {
                    refusal = Record.Exception(() => job.Cancel());
                    tried = job.TryCancel(force: true);
                }
            };
            job.LetGo();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.IsType<JobVerbException>(refusal);
            Assert.False(tried);
        });

    private ScriptedJob Job(ScriptedJobOptions options) => new("tested", _environment, options);

    private async Task<ScriptedJob[]> StartAsync(params ScriptedJobOptions[] options)
    {
        ScriptedJob[] jobs = [.. options.Select(Job)];
        await JobTransaction.StartAsync(jobs);
        return jobs;
    }
}
