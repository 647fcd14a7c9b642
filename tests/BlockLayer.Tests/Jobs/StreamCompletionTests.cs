using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>When a pull says it is done, and what it leaves when it is not.</summary>
public class StreamCompletionTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void Success_is_told_after_data_is_flushed_then_the_header_written_then_the_graph_switched()
    {
        StreamFixture disk = new StreamFixture(8, Unit, 4096).Fill(0, 0, 8);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob();
            job.Notified += (_, what) =>
            {
                if (what is JobConcluded)
                {
                    Assert.Null(disk.Top.Backing);
                    Assert.Equal(OverlayStep.Record, disk.Steps.Log[^1].Step);
                }
            };
            await job.StartAsync();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        OverlayStep[] steps = [.. disk.Steps.Log.Select(entry => entry.Step)];
        int lastPublish = Array.LastIndexOf(steps, OverlayStep.Publish);
        int record = Array.IndexOf(steps, OverlayStep.Record);
        int flushBefore = Array.LastIndexOf(steps, OverlayStep.Flush, record);
        Assert.True(lastPublish < flushBefore && flushBefore < record, string.Join(' ', steps));
    }

    [Fact]
    public void The_events_tell_every_state_in_order_and_end_with_the_result()
    {
        StreamFixture disk = new StreamFixture(2, Unit, Unit).Fill(0, 0, 2);
        disk.Run(async () => await disk.CompletesAsync());
        Assert.Equal([JobState.Running, JobState.Finishing, JobState.Concluded], disk.Events.OfType<JobStateChanged>().Select(change => change.State));
        Assert.Equal(JobOutcome.Completed, Assert.IsType<JobConcluded>(disk.Events[^1]).Result.Outcome);
    }

    [Theory]
    [InlineData(OverlayStep.Record)]
    [InlineData(OverlayStep.Flush)]
    public void A_failed_flush_or_header_write_fails_the_job_and_leaves_the_graph_as_it_was(OverlayStep failing)
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Steps.FailWhen((step, _) => step == failing ? BlockErrorKind.Io : null);
        disk.Run(async () =>
        {
            JobResult result = await disk.RunAsync();
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal(BlockErrorKind.Io, Assert.IsType<BlockLayerException>(result.Error).Kind);
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.Equal("image0", disk.Top.BackingReference?.Name);
            disk.AssertClean();

            disk.Steps.FailNothing();
            int stores = disk.Steps.Count(OverlayStep.Store);
            await disk.CompletesAsync();
            Assert.Equal(stores, disk.Steps.Count(OverlayStep.Store)); // nothing was left to copy
        });
    }

    [Fact]
    public void What_a_guest_keeps_busy_to_the_end_is_copied_while_guests_are_held_back()
    {
        StreamFixture disk = new StreamFixture(2, Unit, 4096).Fill(0, 0, 2);
        bool done = false;
        disk.Scheduler.Spawn("guest", async () =>
        {
            while (!done)
            {
                await disk.Root.WriteAsync(0, new byte[512]); // always one on its way into the first unit
                await disk.Scheduler.StepAsync();
            }
        });
        disk.Run(async () =>
        {
            await disk.CompletesAsync();
            done = true;
            byte[] rest = new byte[(2 * Unit) - 512];
            await disk.Root.ReadAsync(512, rest);
            Assert.All(Enumerable.Range(0, rest.Length / 512), i => Assert.Equal(1, SectorStamp.WriterOf(rest.AsSpan(i * 512), 512 + (i * 512L))));
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_job_is_refused_where_its_work_would_lose_or_reach_nothing()
    {
        StreamFixture disk = new StreamFixture(2, Unit, Unit).Fill(0, 0, 2);
        var readOnly = new MemoryOverlayNode("read-only", disk.Length, Unit, disk.Environment, access: NodeAccess.ReadOnly);
        var stranger = new MemoryOverlayNode("stranger", disk.Length, Unit, disk.Environment);
        disk.Run(async () =>
        {
            await RefusedAsync(new StreamJob(readOnly), BlockErrorKind.ReadOnly, "'read-only' is open read-only and cannot be filled.");
            await RefusedAsync(disk.NewJob(new StreamOptions { Base = stranger }), BlockErrorKind.NotFound, "'stranger' is not in the backing chain of 'image1'.");
            await RefusedAsync(disk.NewJob(new StreamOptions { Base = disk.Root }), BlockErrorKind.NotFound, "'image1' cannot be its own base.");
            await disk.Top.DetachAsync(disk.Top.BackingEdge!);
            await RefusedAsync(disk.NewJob(), BlockErrorKind.Conflict, "'image1' records the backing file 'image0' (memory-overlay), which is not open: its content would be lost.");
        });
        disk.AssertClean();

        static async Task RefusedAsync(StreamJob job, BlockErrorKind kind, string message)
        {
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await job.StartAsync());
            Assert.Equal((kind, message), (refusal.Kind, refusal.Message));
            Assert.Equal(JobState.Concluded, job.State);
        }
    }

    [Fact]
    public void A_header_without_room_refuses_the_job_before_it_copies()
    {
        StreamFixture disk = new StreamFixture(2, Unit, Unit, Unit).Fill(0, 0, 2);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { Base = disk.Images[0], BackingName = new string('x', 2000) });
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await job.StartAsync());
            Assert.Equal(BlockErrorKind.NoSpace, refusal.Kind);
        });
        Assert.Equal(0, disk.Steps.Count(OverlayStep.Store));
        disk.AssertClean();
    }

    [Fact]
    public void A_disk_cannot_be_resized_while_a_job_fills_it()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = Unit });
            await job.StartAsync();
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.Root.ResizeAsync(disk.Length * 2));
            Assert.Equal((BlockErrorKind.Conflict, "'image1' cannot be resized while job 'stream' (stream) fills it."), (refusal.Kind, refusal.Message));
            job.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
    }
}
