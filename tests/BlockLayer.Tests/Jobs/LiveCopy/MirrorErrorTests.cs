using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A live copy in which a side fails: what the policies make of it, that guests hear nothing of it, and that nobody loses anything.</summary>
public class MirrorErrorTests
{
    private const int Unit = MirrorFixture.Unit;

    [Theory]
    [InlineData(CopyStep.Read)]
    [InlineData(CopyStep.Write)]
    public void Report_fails_the_job_and_leaves_the_disk(CopyStep side)
    {
        var disk = new MirrorFixture();
        Fail(disk, side, unit: 6);
        disk.Run(async () =>
        {
            JobResult result = await (await disk.StartAsync()).Completion;
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal((side, JobErrorAction.Report), disk.Errors.First());
            Assert.InRange(result.Progress.Current, 0, result.Progress.End - 1); // what is lacking is still counted when the job is over
            disk.Steps.FailNothing();
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.Content);
        });
        disk.AssertClean(disk.Top);
    }

    [Theory]
    [InlineData(CopyStep.Read)]
    [InlineData(CopyStep.Write)]
    public void Stop_pauses_and_a_resume_tries_the_same_range_again(CopyStep side)
    {
        var disk = new MirrorFixture();
        Fail(disk, side, unit: 6);
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartAsync(new MirrorJobOptions { OnError = JobErrorPolicy.Stop });
            await disk.UntilAsync(() => job.State == JobState.Paused);
            Assert.NotNull(job.PausingError);
            Assert.Contains((side, JobErrorAction.Stop), disk.Errors);
            disk.Steps.FailNothing();
            disk.TargetSteps.FailNothing();
            job.Resume();
            await disk.UntilAsync(() => job.State == JobState.Ready);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.Content);
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        disk.AssertClean(disk.Target);
    }

    // There is no step left before which it could stop, and what guests wrote meanwhile would be copied with all of them held back.
    [Theory]
    [InlineData(JobErrorPolicy.Stop)]
    [InlineData(JobErrorPolicy.Ignore)]
    public void A_pending_copy_whose_target_fails_under_a_guest_fails_at_once_and_the_guest_does_not(JobErrorPolicy policy)
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { OnTargetError = policy, AutoFinalize = false });
            job.Complete();
            await disk.UntilAsync(() => job.State == JobState.Pending);
            Assert.True(job.IsActivelySynced);
            Fail(disk, CopyStep.Write, unit: 6);
            await disk.WriteAsync(unit: 6, writer: 7);
            await disk.PassAsync(seconds: 1);
            Assert.True(job.Completion.IsCompleted);
            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Failed, BlockErrorKind.NoSpace), (result.Outcome, ((BlockLayerException)result.Error!).Kind));
            Assert.Equal([(CopyStep.Write, JobErrorAction.Report)], disk.Errors);
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(6, 7));
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void Ignore_copies_what_it_can_and_fails_instead_of_becoming_ready()
    {
        var disk = new MirrorFixture();
        Fail(disk, CopyStep.Write, unit: 6);
        disk.Run(async () =>
        {
            disk.Target.AddReference();
            JobResult result = await (await disk.StartAsync(new MirrorJobOptions { OnTargetError = JobErrorPolicy.Ignore })).Completion;
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal(BlockErrorKind.NoSpace, ((BlockLayerException)result.Error!).Kind);
            Assert.DoesNotContain(disk.Events, what => what is JobReady);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(6, 0));
            await disk.Target.DisposeAsync();
        });
        disk.AssertClean(disk.Top);
    }

    [Theory]
    [InlineData(MirrorCopyMode.Background)]
    [InlineData(MirrorCopyMode.WriteBlocking)]
    public void A_ready_copy_that_meets_an_error_stands_by_and_is_equal_again_after_a_resume(MirrorCopyMode mode)
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { CopyMode = mode, OnTargetError = JobErrorPolicy.Stop });
            Fail(disk, CopyStep.Write, unit: 6);
            await disk.WriteAsync(unit: 6, writer: 7); // does not fail
            await disk.UntilAsync(() => job.State == JobState.Standby);
            Assert.True(job.Progress.Current < job.Progress.End);
            disk.TargetSteps.FailNothing();
            job.Resume();
            await disk.UntilAsync(() => job.State == JobState.Ready && job.Progress.Current == job.Progress.End);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(6, 7));
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        disk.AssertClean(disk.Target);
    }

    [Fact]
    public void A_write_of_both_sides_that_fails_on_the_source_is_the_guests_error_and_is_copied_again()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { CopyMode = MirrorCopyMode.WriteBlocking });
            disk.Steps.FailWhen((step, range) => step is OverlayStep.Write or OverlayStep.Store ? BlockErrorKind.Io : null);
            await Assert.ThrowsAsync<BlockLayerException>(() => disk.WriteAsync(unit: 6, writer: 7).AsTask());
            disk.Steps.FailNothing();
            await disk.UntilAsync(() => job.IsActivelySynced);
            await MirrorFixture.AssertHoldsAsync(disk.Target, await MirrorFixture.UnitsAsync(disk.Root));
            Assert.Empty(disk.Errors);
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
    }

    [Fact]
    public void A_target_that_fails_while_the_job_waits_to_be_finalized_keeps_the_disk_where_it_is()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { AutoFinalize = false, OnTargetError = JobErrorPolicy.Stop });
            job.Complete();
            await disk.UntilAsync(() => job.State == JobState.Pending);
            Fail(disk, CopyStep.Write, unit: 6);
            await disk.WriteAsync(unit: 6, writer: 7); // does not fail
            job.FinalizeJob();
            Assert.Equal((JobOutcome.Failed, false), ((await job.Completion).Outcome, job.HasSwitched));
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(6, 7));
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void A_target_that_cannot_be_made_durable_does_not_get_the_disk()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            disk.TargetSteps.FailWhen((step, _) => step == OverlayStep.Flush ? BlockErrorKind.Io : null);
            job.Complete();
            Assert.Equal((JobOutcome.Failed, false), ((await job.Completion).Outcome, job.HasSwitched));
        });
        disk.AssertClean(disk.Top);
    }

    private static void Fail(MirrorFixture disk, CopyStep side, int unit)
    {
        var range = new ByteRange(unit * (long)Unit, Unit);
        if (side == CopyStep.Read)
        {
            disk.Steps.FailWhen((step, at) => step == OverlayStep.Read && at.Overlaps(range) ? BlockErrorKind.Io : null);
        }
        else
        {
            disk.TargetSteps.FailWhen((step, at) => step is OverlayStep.Write or OverlayStep.Store && at.Overlaps(range) ? BlockErrorKind.NoSpace : null);
        }
    }
}
