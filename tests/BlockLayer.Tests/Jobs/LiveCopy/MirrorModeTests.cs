using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>When guests' writes reach the copy.</summary>
public class MirrorModeTests
{
    [Fact]
    public void In_the_background_a_guest_does_not_wait_for_the_copy()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            disk.TargetSteps.Hold(OverlayStep.Write);
            await disk.WriteAsync(unit: 3, writer: 7);
            await disk.PassAsync(1);
            Assert.False(job.IsActivelySynced);
            disk.TargetSteps.Release(OverlayStep.Write);
            await disk.UntilAsync(() => job.Progress.Current == job.Progress.End);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 7));
            job.Cancel(force: true);
        });
    }

    [Fact]
    public void Blocking_a_guests_write_completes_when_both_sides_have_it()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { CopyMode = MirrorCopyMode.WriteBlocking });
            Assert.True(job.IsActivelySynced);
            disk.TargetSteps.Hold(OverlayStep.Write);
            Task write = disk.WriteAsync(unit: 3, writer: 7).AsTask();
            await disk.PassAsync(1);
            Assert.False(write.IsCompleted);
            disk.TargetSteps.Release(OverlayStep.Write);
            await write;
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 7));
            Assert.True(job.IsActivelySynced);
            await disk.Root.DiscardAsync(3 * MirrorFixture.Unit, MirrorFixture.Unit);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 0));
            job.Cancel(force: true);
        });
    }

    [Fact]
    public void It_can_be_made_blocking_while_it_runs_and_not_back()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            job.ChangeCopyMode(MirrorCopyMode.WriteBlocking);
            await disk.UntilAsync(() => job.IsActivelySynced);
            Assert.Equal(BlockErrorKind.Unsupported, Assert.Throws<BlockLayerException>(() => job.ChangeCopyMode(MirrorCopyMode.Background)).Kind);
            job.Complete();
            await job.Completion;
            Assert.Throws<JobVerbException>(() => job.ChangeCopyMode(MirrorCopyMode.WriteBlocking));
        });
    }

    // QEMU: job.c, JobVerbTable, the row of "change".
    [Fact]
    public void Its_mode_is_changed_in_the_states_that_take_the_verb_and_in_no_other()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = disk.NewJob(new MirrorJobOptions { BytesPerSecond = 1, AutoFinalize = false, AutoDismiss = false });
            var partner = new ScriptedJob("partner", disk.Environment);
            await AskAsync(JobState.Created);
            await JobTransaction.StartAsync([job, partner]);
            await AskAsync(JobState.Running);
            job.Pause();
            await AskAsync(JobState.Paused);
            job.Resume();
            job.BytesPerSecond = 0;
            await AskAsync(JobState.Ready);
            job.Pause();
            await AskAsync(JobState.Standby);
            job.Resume();
            await disk.UntilAsync(() => job.State == JobState.Ready);
            job.Complete();
            await AskAsync(JobState.Waiting);
            partner.LetGo();
            await AskAsync(JobState.Pending);
            job.FinalizeJob();
            await AskAsync(JobState.Concluded);
            job.Dismiss();
            await AskAsync(JobState.Null);

            async Task AskAsync(JobState state)
            {
                await disk.UntilAsync(() => job.State == state);
                Exception? refusal = Record.Exception(() => job.ChangeCopyMode(MirrorCopyMode.Background)); // as it is
                if (JobVerbs.IsAllowed(JobVerb.Change, state))
                {
                    Assert.Null(refusal);
                }
                else
                {
                    JobVerbException found = Assert.IsType<JobVerbException>(refusal);
                    Assert.Equal((JobVerb.Change, state), (found.Verb, found.State));
                }
            }
        });
    }

    [Fact]
    public void A_guest_that_never_rests_does_not_keep_a_blocking_copy_from_becoming_ready()
    {
        var disk = new MirrorFixture();
        disk.Steps.Delay = _ => new ValueTask(disk.PassAsync(0.001));
        disk.TargetSteps.Delay = _ => new ValueTask(disk.PassAsync(0.001));
        disk.Run(async () =>
        {
            bool rests = false;
            Task guest = Task.CompletedTask;
            MirrorJob job = await disk.StartAsync(new MirrorJobOptions { CopyMode = MirrorCopyMode.WriteBlocking });
            guest = BusyAsync();
            await disk.UntilAsync(() => job.State == JobState.Ready);
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            rests = true;
            await guest;

            async Task BusyAsync()
            {
                for (int writer = 10; !rests; writer++)
                {
                    await disk.WriteAsync(writer % MirrorFixture.Units, writer);
                }
            }
        });
        disk.AssertClean(disk.Target);
    }

    [Fact]
    public void While_the_job_waits_to_be_finalized_guests_go_on_and_the_copy_stays_equal()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { AutoFinalize = false });
            job.Complete();
            await disk.UntilAsync(() => job.State == JobState.Pending);
            await disk.WriteAsync(unit: 3, writer: 7);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 7));
            job.FinalizeJob();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(3, 7));
        });
        disk.AssertClean(disk.Target);
    }

    [Fact]
    public void A_partner_that_fails_keeps_the_disk_where_it_is()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = disk.NewJob();
            var partner = new ScriptedJob("partner", disk.Environment, new ScriptedJobOptions { FailsAt = "prepare" });
            await JobTransaction.StartAsync([job, partner]);
            await disk.UntilAsync(() => job.State == JobState.Ready);
            job.Complete();
            await disk.UntilAsync(() => job.State == JobState.Waiting);
            partner.LetGo();
            Assert.Equal((JobOutcome.Cancelled, false), ((await job.Completion).Outcome, job.HasSwitched));
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void It_is_completed_only_when_it_is_ready()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartAsync(new MirrorJobOptions { BytesPerSecond = 1 });
            Assert.Throws<JobVerbException>(job.Complete);
            job.Cancel(); // not ready, so without force it ends where it is, too
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        });
    }

    [Fact]
    public void One_that_was_cancelled_is_not_completed_any_more()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            job.Cancel();
            JobVerbException refusal = Assert.Throws<JobVerbException>(job.Complete);
            Assert.Contains("it was cancelled", refusal.Message, StringComparison.Ordinal);
            Assert.Equal((JobOutcome.Completed, false), ((await job.Completion).Outcome, job.HasSwitched));
        });
        disk.AssertClean(disk.Top);
    }
}
