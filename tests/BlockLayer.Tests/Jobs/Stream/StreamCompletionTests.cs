using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using BlockLayer.Tests.Images.Hostile;
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
                if (what is JobEnded)
                {
                    Assert.Null(disk.Top.Backing);
                    Assert.Equal(OverlayStep.Record, disk.Steps.Log[^1].Step);
                }
            };
            await job.StartAsync();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        AssertFlushedBeforeRecorded(disk);
    }

    [Fact]
    public void The_events_tell_every_state_in_order_and_end_with_the_result()
    {
        StreamFixture disk = new StreamFixture(2, Unit, Unit).Fill(0, 0, 2);
        disk.Run(async () => await disk.CompletesAsync());
        Assert.Equal([JobState.Running, JobState.Waiting, JobState.Pending, JobState.Concluded, JobState.Null], disk.Events.OfType<JobStateChanged>().Select(change => change.State));
        Assert.Equal(JobOutcome.Completed, Assert.IsType<JobEnded>(disk.Events[^3]).Result.Outcome);
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
        disk.Steps.Delay = _ => disk.Scheduler.StepAsync();
        disk.Steps.FailWhen((step, range) => step == OverlayStep.Store && range.Length == 512 ? BlockErrorKind.NoSpace : null);
        for (int guest = 0; guest < 8; guest++)
        {
            disk.Scheduler.Spawn("guest", WriteUntilItIsCopiedAsync);
        }

        disk.Run(async () =>
        {
            await disk.CompletesAsync(new StreamOptions { GuestsFirst = int.MaxValue });
            Assert.Equal(new[] { 1, 1 }, await disk.UnitsAsync());
        });
        disk.AssertClean();
        AssertFlushedBeforeRecorded(disk);

        // Fails while its cluster is not allocated, which therefore stays so, and claimed: one of the eight is always there.
        async Task WriteUntilItIsCopiedAsync()
        {
            while (true)
            {
                try
                {
                    await disk.Root.WriteAsync(0, SectorStamp.Of(0, 512, 1));
                    return;
                }
                catch (BlockLayerException error) when (error.Kind == BlockErrorKind.NoSpace)
                {
                    continue;
                }
            }
        }
    }

    [Fact]
    public void An_image_that_forgets_copies_fails_the_job_instead_of_keeping_it_busy_for_ever()
    {
        StreamFixture disk = new StreamFixture(2, Unit, 4096).Fill(0, 0, 2);
        disk.Top.ForgetsCopies = true;
        disk.Run(async () =>
        {
            JobResult result = await disk.RunAsync();
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal("'image1' still lacks content that was copied into it while nobody else used it.", result.Error?.Message);
            Assert.Same(disk.Images[0], disk.Top.Backing);
        });
        disk.AssertClean();
    }

    [Fact]
    [CorpusCase("5 base not in the chain, base is the image")]
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
            Assert.Equal(JobState.Null, job.State);
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

    private static void AssertFlushedBeforeRecorded(StreamFixture disk)
    {
        OverlayStep[] steps = [.. disk.Steps.Log.Select(entry => entry.Step)];
        int record = Array.IndexOf(steps, OverlayStep.Record);
        int lastPublish = Array.LastIndexOf(steps, OverlayStep.Publish, record);
        int flushBefore = Array.LastIndexOf(steps, OverlayStep.Flush, record);
        Assert.True(lastPublish < flushBefore && flushBefore < record, string.Join(' ', steps));
    }
}
