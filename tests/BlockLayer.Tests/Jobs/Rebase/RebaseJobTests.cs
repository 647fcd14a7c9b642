using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A disk's newest image gets another backing file while it is used.</summary>
public class RebaseJobTests
{
    private const int Unit = StreamFixture.Unit;
    private const int Units = 16;

    [Fact]
    public void What_the_two_chains_show_differently_is_copied_and_nothing_else()
    {
        StreamFixture disk = Disk();
        MemoryOverlayNode next = Next(disk);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            RebaseJob job = disk.Watched(new RebaseJob(disk.Root, new RebaseOptions { Backing = next }));
            JobResult result = await StreamFixture.CompletesAsync(job);
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(["image2", "next"], disk.Chain);
            Assert.Equal("next", disk.Top.BackingReference?.Name);
            Assert.Equal(5L * Unit, job.CopiedBytes);
            Assert.Equal(new[] { "image1", "image0" }, result.Files.Unneeded);
            Assert.True(disk.Images[1].IsDisposed);
        });
        disk.AssertClean();
    }

    [Fact]
    public void An_image_that_is_to_stand_alone_gets_everything()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            await StreamFixture.CompletesAsync(new RebaseJob(disk.Root, new RebaseOptions()));
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(["image2"], disk.Chain);
            Assert.Null(disk.Top.BackingReference);
        });
        disk.AssertClean();
    }

    [Fact]
    public void An_unsafe_rebase_copies_nothing()
    {
        StreamFixture disk = Disk();
        MemoryOverlayNode next = Next(disk);
        disk.Run(async () =>
        {
            RebaseJob job = new(disk.Root, new RebaseOptions { Backing = next, Mode = RebaseMode.Unsafe });
            await StreamFixture.CompletesAsync(job);
            Assert.Equal(0, job.CopiedBytes);
            Assert.Equal(["image2", "next"], disk.Chain);
            Assert.Equal(9, (await disk.UnitsAsync())[3]);
        });
        disk.AssertClean();
    }

    [Fact]
    public void What_is_copied_is_flushed_before_the_header_is_written()
    {
        StreamFixture disk = Disk();
        disk.Run(async () => await StreamFixture.CompletesAsync(new RebaseJob(disk.Root, new RebaseOptions { Backing = Next(disk) })));
        OverlayStep[] steps = [.. disk.Steps.Log.Select(entry => entry.Step)];
        int record = Array.IndexOf(steps, OverlayStep.Record);
        Assert.True(Array.LastIndexOf(steps, OverlayStep.Publish) < Array.LastIndexOf(steps, OverlayStep.Flush, record), string.Join(' ', steps));
    }

    [Theory]
    [InlineData(OverlayStep.Record)]
    [InlineData(OverlayStep.Flush)]
    public void A_failed_flush_or_header_write_fails_the_job_and_the_old_chain_stays(OverlayStep failing)
    {
        StreamFixture disk = Disk();
        disk.Steps.FailWhen((step, _) => step == failing ? BlockErrorKind.Io : null);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            MemoryOverlayNode next = Next(disk);
            Assert.Equal(JobOutcome.Failed, (await StreamFixture.RunAsync(new RebaseJob(disk.Root, new RebaseOptions { Backing = next }))).Outcome);
            Assert.Equal(["image2", "image1", "image0"], disk.Chain);
            Assert.Equal("image1", disk.Top.BackingReference?.Name);
            Assert.True(next.IsDisposed);
            disk.AssertClean();
            disk.Steps.FailNothing();
            await StreamFixture.CompletesAsync(new RebaseJob(disk.Root, new RebaseOptions { Backing = Next(disk) }));
            Assert.Equal(before, await disk.UnitsAsync());
        });
    }

    [Theory]
    [InlineData(JobErrorPolicy.Report, JobOutcome.Failed)]
    [InlineData(JobErrorPolicy.Ignore, JobOutcome.Failed)]
    [InlineData(JobErrorPolicy.Stop, JobOutcome.Completed)]
    public void An_error_is_dealt_with_as_the_policy_says(JobErrorPolicy policy, JobOutcome outcome)
    {
        StreamFixture disk = Disk();
        disk.Steps.FailWhen((step, range) => step == OverlayStep.Store && range.Offset == 9L * Unit ? BlockErrorKind.NoSpace : null);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            RebaseJob job = disk.Watched(new RebaseJob(disk.Root, new RebaseOptions { Backing = Next(disk), OnError = policy }));
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            if (policy == JobErrorPolicy.Stop)
            {
                Assert.Equal(JobState.Paused, job.State);
                disk.Steps.FailNothing();
                job.Resume();
            }

            JobResult result = await job.Completion;
            Assert.Equal(outcome, result.Outcome);
            Assert.Equal(outcome == JobOutcome.Completed ? ["image2", "next"] : ["image2", "image1", "image0"], disk.Chain);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        Assert.Equal(BlockErrorKind.NoSpace, ((BlockLayerException)disk.Events.OfType<JobErrorOccurred>().First().Error).Kind);
        disk.AssertClean();
    }

    [Fact]
    public void Several_pieces_are_under_way_while_no_guest_wants_the_disk()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            RebaseJob job = await StartQuietlyAsync(disk, new RebaseOptions());
            disk.Steps.Hold(OverlayStep.Store);
            job.Resume();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            Assert.Equal(4, disk.Steps.Count(OverlayStep.Store));
            disk.Steps.Release(OverlayStep.Store);
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    // The first piece of several fails; those behind it are copied, and looked at once more.
    [Fact]
    public void A_piece_that_failed_is_tried_again_and_counted_once()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            RebaseJob job = await StartQuietlyAsync(disk, new RebaseOptions { OnError = JobErrorPolicy.Stop });
            disk.Steps.FailWhen((step, range) => step == OverlayStep.Store && range.Offset == 0 ? BlockErrorKind.NoSpace : null);
            job.Resume();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            Assert.Equal((JobState.Paused, 5L * Unit), (job.State, job.CopiedBytes));
            disk.Steps.FailNothing();
            job.Resume();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(11L * Unit, job.CopiedBytes);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_disk_cannot_be_resized_meanwhile_and_a_cancel_leaves_the_old_chain()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            MemoryOverlayNode next = Next(disk);
            RebaseJob job = new(disk.Root, new RebaseOptions { Backing = next, BytesPerSecond = Unit });
            await job.StartAsync();
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.Root.ResizeAsync(disk.Length * 2));
            Assert.Equal((BlockErrorKind.Conflict, "'image2' cannot be resized while job 'rebase' (rebase) works on it."), (refusal.Kind, refusal.Message));
            job.Cancel();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            Assert.Equal(["image2", "image1", "image0"], disk.Chain);
            Assert.True(next.IsDisposed);
        });
        disk.AssertClean();
    }

    [Fact]
    public void What_makes_no_sense_is_refused_and_the_new_chain_stays_with_its_owner()
    {
        StreamFixture disk = Disk();
        MemoryOverlayNode next = Next(disk);
        disk.Run(async () =>
        {
            await RefusedAsync(new RebaseOptions { Backing = disk.Images[0] }, BlockErrorKind.Conflict, "'image0' shares images with the chain of 'image2': pull to it instead, or open it once more.");
            await RefusedAsync(new RebaseOptions { Backing = next, BackingName = new string('x', 2000) }, BlockErrorKind.NoSpace, "There is no room for a backing name of 2000 characters.");
            StreamJob pull = disk.NewJob(new StreamOptions { BytesPerSecond = Unit });
            await pull.StartAsync();
            await RefusedAsync(new RebaseOptions { Backing = next }, BlockErrorKind.Conflict, "job 'rebase' (rebase) needs 'image2', which job 'stream' (stream) is working on.");
            pull.Cancel();
            await pull.Completion;
            Assert.False(next.IsDisposed);
            await next.DisposeAsync();
        });
        disk.AssertClean();

        async Task RefusedAsync(RebaseOptions options, BlockErrorKind kind, string message)
        {
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await new RebaseJob(disk.Root, options).StartAsync());
            Assert.Equal((kind, message), (refusal.Kind, refusal.Message));
        }
    }

    // Paused until it is long ago that a guest used the disk.
    private static async Task<RebaseJob> StartQuietlyAsync(StreamFixture disk, RebaseOptions options)
    {
        RebaseJob job = new(disk.Root, options);
        job.Pause();
        await job.StartAsync();
        await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
        return job;
    }

    // Shown by the old chain: 1 1 2 2 1 ...; image2 has units of its own.
    private static StreamFixture Disk()
        => new StreamFixture(Units, Unit, Unit, 4096).Fill(0, 0, 12).Fill(1, 2, 2).Fill(1, 8, 2).Fill(2, 5, 1).Fill(2, 13, 1);

    // The same as the old chain where image0 is seen, but shorter, and with something of its own.
    private static MemoryOverlayNode Next(StreamFixture disk)
    {
        var next = new MemoryOverlayNode("next", 11L * Unit, Unit, disk.Environment);
        next.Fill(0, SectorStamp.Of(0, 11 * Unit, 1));
        next.Fill(3L * Unit, SectorStamp.Of(3L * Unit, Unit, 9));
        return next;
    }
}
