using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Pulls in increments: what one of them copies, where it says that the next continues, and how the last one ends.</summary>
public class StreamIncrementTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void An_increment_copies_one_unit_and_says_where_to_continue()
    {
        StreamFixture disk = new StreamFixture(8, Unit, Unit).Fill(0, 0, 8);
        disk.Run(async () =>
        {
            Assert.Equal(new StreamIncrement(Unit, Unit, IsComplete: false), await NextAsync(disk, 0));
            Assert.Equal(1, disk.Top.AllocatedClusters);
            Assert.Same(disk.Images[0], disk.Top.Backing);
            disk.AssertClean();
            Assert.Equal(new StreamIncrement(2 * Unit, Unit, IsComplete: false), await NextAsync(disk, Unit));
        });
    }

    [Fact]
    public void The_increments_of_a_whole_disk_leave_what_a_pull_leaves()
    {
        StreamFixture disk = new StreamFixture(10, 4096, Unit, 16384).Fill(0, 0, 7).Fill(1, 2, 2).Fill(2, 3);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            List<StreamIncrement> increments = await AllAsync(disk, 0);
            Assert.Null(disk.Top.Backing);
            Assert.Null(disk.Top.BackingReference);
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(6, increments.Count(increment => increment.CopiedBytes == Unit)); // 0 to 6, of which the disk has 3
            Assert.Equal(new StreamIncrement(disk.Length, 0, IsComplete: true), increments[^1]);
        });
        disk.AssertClean();
    }

    [Fact]
    public void The_increments_of_a_pull_to_a_base_leave_the_base()
    {
        StreamFixture disk = new StreamFixture(8, 4096, 4096, 4096).Fill(0, 0, 8).Fill(1, 2, 2);
        disk.Run(async () =>
        {
            var toBase = new StreamOptions { Base = disk.Images[0] };
            Assert.Equal(new StreamIncrement(3 * Unit, Unit, IsComplete: false), await NextAsync(disk, 0, toBase)); // 0 and 1 are the base's
            await AllAsync(disk, 3 * Unit, toBase);
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.Equal("image0", disk.Top.BackingReference?.Name);
            Assert.Equal(2 * Unit / 4096, disk.Top.AllocatedClusters);
        });
        disk.AssertClean();
    }

    [Fact]
    public void What_is_allocated_and_what_is_zero_or_nothing_below_is_passed_over_without_a_read()
    {
        StreamFixture disk = new StreamFixture(12, 4096, 4096).Fill(0, 9).Fill(1, 0, 3);
        disk.Images[0].FillZero(4L * Unit, 3 * Unit);
        disk.Run(async () =>
        {
            StreamIncrement increment = await NextAsync(disk, 0);
            Assert.Equal(new StreamIncrement(10 * Unit, 4 * Unit, IsComplete: false), increment); // three of zeroes, one of data
            Assert.All(disk.Steps.Log.Where(entry => entry.Step == OverlayStep.Read), read => Assert.Equal((9L * Unit, (long)Unit), (read.Range.Offset, read.Range.Length)));
            Assert.True((await disk.StatusAsync(4L * Unit, 3 * Unit)) is { IsAllocated: true, IsZero: true, Length: 3 * Unit });
        });
    }

    [Fact]
    public void A_cursor_inside_a_unit_means_the_unit()
    {
        StreamFixture disk = new StreamFixture(4, 4096, 4096).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            Assert.Equal(2 * Unit, (await NextAsync(disk, Unit + 5000)).Next);
            Assert.True((await disk.StatusAsync(Unit, Unit)) is { IsAllocated: true, Length: Unit });
        });
    }

    [Fact]
    public void A_unit_is_the_cluster_of_the_image_where_that_is_larger()
    {
        StreamFixture disk = new StreamFixture(8, 4096, 4 * Unit).Fill(0, 0, 8);
        disk.Run(async () => Assert.Equal(new StreamIncrement(4 * Unit, 4 * Unit, IsComplete: false), await NextAsync(disk, 0)));
    }

    [Fact]
    public void The_end_is_only_told_when_nothing_before_it_is_lacking()
    {
        StreamFixture disk = new StreamFixture(6, Unit, Unit).Fill(0, 0, 6).Fill(1, 0);
        disk.Run(async () =>
        {
            StreamIncrement last = await NextAsync(disk, 5 * Unit);
            Assert.Equal(new StreamIncrement(Unit, Unit, IsComplete: false), last); // somebody began too far behind
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.Equal(5, (await AllAsync(disk, last.Next)).Count); // units 1 to 4, and past the last one
            Assert.Null(disk.Top.Backing);
        });
        disk.AssertClean();
    }

    [Fact]
    public void The_end_of_the_disk_is_a_cursor_too_and_completes_what_is_full()
    {
        StreamFixture disk = new StreamFixture(2, Unit, Unit).Fill(0, 0, 2);
        disk.Top.Fill(0, SectorStamp.Of(0, 2 * Unit, 7));
        disk.Run(async () =>
        {
            Assert.Equal(new StreamIncrement(disk.Length, 0, IsComplete: true), await NextAsync(disk, disk.Length));
            Assert.Null(disk.Top.Backing);
            Assert.Equal(new StreamIncrement(disk.Length, 0, IsComplete: true), await NextAsync(disk, 0)); // and once more, with nothing below
        });
    }

    [Theory]
    [InlineData(-1)]
    [InlineData((4 * Unit) + 1)]
    public void A_cursor_outside_the_disk_is_refused(long cursor)
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            var error = await Assert.ThrowsAsync<BlockLayerException>(() => NextAsync(disk, cursor));
            Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
            Assert.Equal($"The cursor is {cursor}; 'image1' has the positions 0 to 262144.", error.Message);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Two_increments_at_once_are_a_conflict()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Steps.Hold(OverlayStep.Read);
        disk.Run(async () =>
        {
            Task<StreamIncrement> first = NextAsync(disk, 0);
            var error = await Assert.ThrowsAsync<BlockLayerException>(() => NextAsync(disk, Unit));
            Assert.Equal(BlockErrorKind.Conflict, error.Kind);
            disk.Steps.Release(OverlayStep.Read);
            Assert.Equal(Unit, (await first).Next);
        });
        disk.AssertClean();
    }

    [Theory]
    [InlineData(JobErrorPolicy.Report)]
    [InlineData(JobErrorPolicy.Ignore)]
    public void An_increment_that_fails_leaves_the_cursor_where_it_was(JobErrorPolicy policy)
    {
        StreamFixture disk = new StreamFixture(4, 4096, 4096).Fill(0, 0, 4);
        disk.Steps.FailWhen((step, range) => step == OverlayStep.Store && range.Offset / Unit == 1 ? BlockErrorKind.NoSpace : null);
        disk.Run(async () =>
        {
            var how = new StreamOptions { OnError = policy };
            Assert.Equal(Unit, (await NextAsync(disk, 0, how)).Next);
            Assert.Equal(BlockErrorKind.NoSpace, (await Assert.ThrowsAsync<BlockLayerException>(() => NextAsync(disk, Unit, how))).Kind);
            disk.AssertClean();
            disk.Steps.FailNothing();
            await AllAsync(disk, Unit, how);
            Assert.Null(disk.Top.Backing);
        });
    }

    [Fact]
    public void An_increment_that_stops_on_an_error_goes_on_when_it_is_resumed()
    {
        StreamFixture disk = new StreamFixture(4, 4096, 4096).Fill(0, 0, 4);
        disk.Steps.FailWhen((step, _) => step == OverlayStep.Read ? BlockErrorKind.Io : null);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { Cursor = Unit, OnError = JobErrorPolicy.Stop });
            await job.StartAsync();
            while (job.State != JobState.Paused)
            {
                await disk.Scheduler.StepAsync();
            }

            disk.Steps.FailNothing();
            job.Resume();
            Assert.Equal(2 * Unit, (await StreamIncrement.FinishAsync(job, CancellationToken.None)).Next);
        });
    }

    [Fact]
    public void A_cancelled_increment_tells_so_and_changes_no_cursor()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            using var impatience = new CancellationTokenSource();
            StreamJob job = disk.NewJob(new StreamOptions { Cursor = Unit });
            job.Pause();
            await job.StartAsync();
            Task<StreamIncrement> increment = StreamIncrement.FinishAsync(job, impatience.Token).AsTask();
            impatience.Cancel();
            await Assert.ThrowsAsync<OperationCanceledException>(() => increment);
            Assert.Equal(Unit, job.Cursor);
        });
        disk.AssertClean();
    }

    // The guest comes while the unit is fetched, and stays; the cursor does not move past what he is about to write a part of.
    [Fact]
    public void A_unit_that_a_guest_does_not_leave_is_waited_for()
    {
        StreamFixture disk = new StreamFixture(2, 4096, 4096).Fill(0, 0, 2);
        var leaves = new Completion();
        bool hasCome = false, isStoring = false;
        Task guest = Task.CompletedTask;
        disk.Steps.Delay = async step =>
        {
            if (step == OverlayStep.Read && !hasCome)
            {
                hasCome = true;
                guest = disk.Root.WriteAsync(8192, SectorStamp.Of(8192, 512, 9)).AsTask();
            }
            else if (step == OverlayStep.Store && !isStoring)
            {
                isStoring = true;
                await leaves.WaitAsync();
            }
        };
        disk.Run(async () =>
        {
            Task<StreamIncrement> increment = NextAsync(disk, 0);
            await Task.Delay(TimeSpan.FromMinutes(1), disk.Scheduler.Time);
            Assert.False(increment.IsCompleted);
            Assert.Equal(0, disk.Top.AllocatedClusters); // the unit is his
            leaves.Complete();
            await guest;
            Assert.Equal(Unit, (await increment).Next);
            Assert.True((await disk.StatusAsync(0, Unit)) is { IsAllocated: true, Length: Unit });
        });
        disk.AssertClean();
    }

    [Fact]
    public void An_increment_is_a_job_whose_progress_ends_where_it_ends()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { Cursor = Unit });
            Assert.Equal((Unit, new JobProgress(0, disk.Length)), (job.Cursor, job.Progress));
            JobResult result = await StreamFixture.CompletesAsync(job);
            Assert.Equal(new JobProgress(2 * Unit, 2 * Unit), result.Progress);
            Assert.Equal(2, result.Files.Needed.Count);
            Assert.Empty(result.Files.Unneeded);
            Assert.Single(disk.Events, what => what is JobEnded { Result.Outcome: JobOutcome.Completed });
        });
    }

    private static async Task<StreamIncrement> NextAsync(StreamFixture disk, long cursor, StreamOptions? options = null)
    {
        StreamJob job = disk.NewJob((options ?? new StreamOptions()) with { Cursor = cursor });
        await job.StartAsync();
        return await StreamIncrement.FinishAsync(job, CancellationToken.None);
    }

    private static async Task<List<StreamIncrement>> AllAsync(StreamFixture disk, long cursor, StreamOptions? options = null)
    {
        var increments = new List<StreamIncrement>();
        do
        {
            increments.Add(await NextAsync(disk, cursor, options));
            cursor = increments[^1].Next;
        }
        while (!increments[^1].IsComplete);
        return increments;
    }
}
