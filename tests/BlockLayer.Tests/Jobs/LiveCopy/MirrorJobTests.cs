using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What a live copy copies, and how it ends.</summary>
public class MirrorJobTests
{
    [Fact]
    public void A_disk_goes_over_to_its_copy_and_guests_go_on_there()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            Assert.Equal(job.Progress.End, job.Progress.Current);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.Content);
            await disk.WriteAsync(unit: 3, writer: 7);
            job.Complete();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
            Assert.True(job.HasSwitched);
            await disk.WriteAsync(unit: 15, writer: 8);
            int[] expected = MirrorFixture.ContentWith(3, 7);
            expected[15] = 8;
            await MirrorFixture.AssertHoldsAsync(disk.Root, expected);
            await MirrorFixture.AssertHoldsAsync(disk.Target, expected);
        });
        disk.AssertClean(disk.Target);
        Assert.Equal(
            [JobState.Running, JobState.Ready, JobState.Waiting, JobState.Pending, JobState.Concluded, JobState.Null],
            disk.Events.OfType<JobStateChanged>().Select(change => change.State));
    }

    [Fact]
    public void A_soft_cancel_leaves_the_copy_as_the_disk_is_then_and_durable()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            await disk.WriteAsync(unit: 3, writer: 7);
            disk.Target.AddReference();
            job.Cancel();
            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Completed, false), (result.Outcome, job.HasSwitched));
            Assert.False(disk.Target.IsDirty);
            await disk.WriteAsync(unit: 3, writer: 8);
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.ContentWith(3, 7));
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(3, 8));
            await disk.Target.DisposeAsync();
        });
        disk.AssertClean(disk.Top);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_hard_cancel_leaves_the_disk_as_it_was(bool ready)
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = ready ? await disk.StartReadyAsync() : await disk.StartAsync(new MirrorJobOptions { BytesPerSecond = 1 });
            job.Cancel(force: true);
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            await disk.WriteAsync(unit: 0, writer: 7);
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.ContentWith(0, 7));
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void Zeroes_are_not_copied_to_where_there_are_zeroes_and_are_to_where_there_are_none()
    {
        var disk = new MirrorFixture();
        disk.Target.Fill(12 * MirrorFixture.Unit, SectorStamp.Of(12 * MirrorFixture.Unit, MirrorFixture.Unit, 9));
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            await MirrorFixture.AssertHoldsAsync(disk.Target, MirrorFixture.Content);
            BlockStatus copied = await disk.Target.GetStatusAsync(Origin.Edge, 12 * MirrorFixture.Unit, 4 * MirrorFixture.Unit, StatusDepth.Node, default);
            Assert.Equal((true, MirrorFixture.Unit), (copied.IsZero, copied.Length));
            Assert.Equal(13 * MirrorFixture.Unit, job.CopiedBytes);
            job.Cancel(force: true);
        });
    }

    [Fact]
    public void What_the_caller_knows_to_be_zero_is_not_asked()
    {
        var disk = new MirrorFixture();
        disk.Target.Fill(12 * MirrorFixture.Unit, SectorStamp.Of(12 * MirrorFixture.Unit, MirrorFixture.Unit, 9)); // who asks meets it
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { TargetIsZero = true });
            Assert.Equal(12 * MirrorFixture.Unit, job.CopiedBytes);
            job.Cancel(force: true);
        });
    }

    [Fact]
    public void The_newest_image_alone_is_copied_onto_the_same_backing_file()
    {
        var disk = new MirrorFixture(targetOnBase: true);
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { Scope = MirrorScope.Top });
            Assert.Equal(8 * MirrorFixture.Unit / 4096, disk.Target.AllocatedClusters);
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Same(disk.Base, disk.Root.Backing);
            await MirrorFixture.AssertHoldsAsync(disk.Root, MirrorFixture.Content);
        });
    }

    [Fact]
    public void The_newest_image_alone_is_not_copied_onto_anything_else()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => disk.StartAsync(new MirrorJobOptions { Scope = MirrorScope.Top }));
            Assert.Equal(
                "Only what 'top' holds itself is to be copied, so 'target' has to stand on the backing file 'base' too; it stands on none.", refusal.Message);
        });
        disk.AssertClean(disk.Top);
    }

    [Fact]
    public void Only_what_guests_write_is_copied_where_nothing_else_is_wanted()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { Scope = MirrorScope.None });
            Assert.Equal(0, disk.Target.AllocatedClusters);
            await disk.WriteAsync(unit: 3, writer: 7);
            await disk.UntilAsync(() => disk.Target.AllocatedClusters == MirrorFixture.Unit / 4096);
            job.Cancel(force: true);
        });
    }

    [Fact]
    public void A_disk_that_goes_over_to_a_longer_copy_is_as_long()
    {
        var disk = new MirrorFixture(targetLength: MirrorFixture.Length + 4096);
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            Assert.Equal(MirrorFixture.Length, disk.Root.Length);
            job.Complete();
            await job.Completion;
            Assert.Equal(MirrorFixture.Length + 4096, disk.Root.Length);
            await disk.Root.WriteAsync(MirrorFixture.Length, new byte[4096]);
        });
    }

    [Fact]
    public void What_cannot_be_a_copy_is_refused_and_nothing_has_changed()
    {
        Refuses(new MirrorFixture(targetLength: MirrorFixture.Length - 4096), BlockErrorKind.OutOfRange);
        Refuses(new MirrorFixture(targetAccess: NodeAccess.ReadOnly), BlockErrorKind.ReadOnly);

        static void Refuses(MirrorFixture disk, BlockErrorKind kind)
        {
            disk.Run(async () => Assert.Equal(kind, (await Assert.ThrowsAsync<BlockLayerException>(() => disk.StartAsync())).Kind));
            disk.AssertClean(disk.Top);
        }
    }

    [Theory]
    [InlineData(2048)]
    [InlineData(12288)]
    [InlineData(128 * 1024 * 1024)]
    public void A_granularity_is_a_power_of_two_within_limits(int granularity)
    {
        var disk = new MirrorFixture();
        disk.Run(() => Assert.ThrowsAsync<ArgumentException>(() => disk.StartAsync(new MirrorJobOptions { Granularity = granularity })));
        disk.AssertClean(disk.Top);
    }

    [Theory]
    [InlineData(4096, null, 64 * 1024)]
    [InlineData(128 * 1024, null, 128 * 1024)]
    [InlineData(128 * 1024, 4096, 4096)]
    [InlineData(4096, 256 * 1024, 256 * 1024)]
    public void A_change_is_copied_again_with_the_whole_unit_around_it(int targetCluster, int? granularity, int unit)
    {
        var disk = new MirrorFixture(targetCluster: targetCluster);
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync(new MirrorJobOptions { Granularity = granularity });
            long before = job.CopiedBytes;
            await disk.Root.WriteAsync(512, SectorStamp.Of(512, 512, 7));
            await disk.UntilAsync(() => job.CopiedBytes > before && job.Progress.Current == job.Progress.End);
            Assert.Equal(unit, job.CopiedBytes - before);
            job.Cancel(force: true);
            await job.Completion;
        });
    }

    // QEMU: block/mirror.c has 16 in flight, of 1 MiB.
    [Fact]
    public void While_no_guest_waits_16_copies_of_a_mebibyte_are_under_way()
    {
        const int MiB = 1 << 20;
        var disk = new MirrorFixture();
        var source = new MemoryOverlayNode("source", 24 * MiB, MiB, disk.Environment);
        source.Fill(0, SectorStamp.Of(0, 24 * MiB, 1));
        var target = new MemoryOverlayNode("target", 24 * MiB, MiB, disk.Environment) { Steps = disk.TargetSteps };
        disk.Run(async () =>
        {
            disk.TargetSteps.Hold(OverlayStep.Store);
            var job = new MirrorJob(new RootNode(source), target);
            await job.StartAsync();
            await disk.PassAsync(1);
            Assert.Equal(16, disk.TargetSteps.Count(OverlayStep.Store));
            Assert.All(disk.TargetSteps.Log.Where(step => step.Step == OverlayStep.Store), step => Assert.Equal(MiB, step.Range.Length));
            disk.TargetSteps.Release(OverlayStep.Store);
            await disk.UntilAsync(() => job.State == JobState.Ready);
            job.Cancel(force: true);
            await job.Completion;
        });
    }

    [Fact]
    public void A_disk_is_not_resized_nor_copied_twice_meanwhile()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            await RefusesAsync(() => disk.Root.ResizeAsync(2 * MirrorFixture.Length).AsTask());
            var other = new MemoryOverlayNode("other", MirrorFixture.Length, 4096, disk.Environment);
            await RefusesAsync(() => new MirrorJob(disk.Root, other).StartAsync().AsTask());
            await RefusesAsync(() => new StreamJob(disk.Root).StartAsync().AsTask());
            await RefusesAsync(() => disk.Target.WriteAsync(0, new byte[512]).AsTask());
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });

        static async Task RefusesAsync(Func<Task> request)
            => Assert.Equal(BlockErrorKind.Conflict, (await Assert.ThrowsAsync<BlockLayerException>(request)).Kind);
    }

    [Fact]
    public void It_keeps_to_its_speed()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartAsync(new MirrorJobOptions { BytesPerSecond = MirrorFixture.Unit, Granularity = MirrorFixture.Unit });
            DateTimeOffset start = disk.Scheduler.Time.GetUtcNow();
            job.Notified += (_, what) =>
            {
                if (what is JobReady)
                {
                    // One step may go before it is paid for.
                    Assert.InRange((disk.Scheduler.Time.GetUtcNow() - start).TotalSeconds, 0, 13);
                }
            };
            await disk.PassAsync(2);
            Assert.InRange(job.CopiedBytes, MirrorFixture.Unit, 12 * MirrorFixture.Unit);
            await disk.UntilAsync(() => job.State == JobState.Ready);
            job.Cancel(force: true);
        });
    }
}
