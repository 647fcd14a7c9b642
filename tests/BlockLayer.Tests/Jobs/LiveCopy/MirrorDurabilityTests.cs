using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>When a live copy makes its target durable.</summary>
public class MirrorDurabilityTests
{
    [Fact]
    public void A_copy_is_durable_when_it_is_told_to_be_ready()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = disk.NewJob();
            bool? isDirty = null;
            job.Notified += (_, what) => isDirty = what is JobReady ? disk.Target.IsDirty : isDirty;
            await job.StartAsync();
            await disk.UntilAsync(() => isDirty is not null);
            Assert.False(isDirty);
            job.Cancel(force: true);
            await job.Completion;
        });
    }

    // The target is flushed twice in the end: while guests go on, so that there is little left to flush while they are held back, and then.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_guests_write_after_the_first_flush_of_the_end_is_durable_too(bool switches)
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { AutoFinalize = false });
            disk.Target.AddReference(); // whoever closes it flushes it
            (switches ? (Action)job.Complete : () => job.Cancel())();
            await disk.UntilAsync(() => job.State == JobState.Pending);
            disk.TargetSteps.Hold(OverlayStep.Flush);
            job.FinalizeJob();
            await disk.PassAsync(1);
            Assert.Equal(OverlayStep.Flush, disk.TargetSteps.Log[^1].Step);
            await disk.WriteAsync(unit: 3, writer: 7);
            Assert.NotEqual(OverlayStep.Flush, disk.TargetSteps.Log[^1].Step);
            disk.TargetSteps.Release(OverlayStep.Flush);
            Assert.Equal((JobOutcome.Completed, switches), ((await job.Completion).Outcome, job.HasSwitched));
            Assert.Equal(OverlayStep.Flush, disk.TargetSteps.Log[^1].Step);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 7));
            await disk.Target.DisposeAsync();
        });
    }
}
