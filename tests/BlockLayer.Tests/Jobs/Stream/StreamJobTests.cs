using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using BlockLayer.Tests.Images.Hostile;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What a pull copies, what it leaves, and what the chain is afterwards.</summary>
public class StreamJobTests
{
    private const int Unit = StreamFixture.Unit;

    private static readonly int[] s_small = [4096, 4096, 4096];

    [Fact]
    public void A_full_pull_leaves_no_backing_file_and_the_same_content()
    {
        StreamFixture disk = new StreamFixture(8, Unit, Unit, Unit).Fill(0, 0, 6).Fill(1, 2, 2).Fill(2, 3);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            await disk.CompletesAsync();
            Assert.Null(disk.Top.Backing);
            Assert.Null(disk.Top.BackingReference);
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal([1, 1, 2, 3, 1, 1, 0, 0], before);
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_pull_to_a_base_copies_only_what_lies_above_it()
    {
        StreamFixture disk = new StreamFixture(8, s_small).Fill(0, 0, 8).Fill(1, 2, 2);
        disk.Run(async () =>
        {
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[0] });
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.Equal("image0", disk.Top.BackingReference?.Name);
            Assert.Equal(2 * Unit / 4096, disk.Top.AllocatedClusters);
            Assert.Equal(Writers(1, 1, 2, 2, 1, 1, 1, 1), await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void Past_the_end_of_a_short_image_in_the_middle_its_zeroes_are_pulled_not_the_base_below_it()
    {
        StreamFixture disk = new StreamFixture(8, (Unit, 8L * Unit), (4096, 3L * Unit), (16384, 8L * Unit)).Fill(0, 0, 8).Fill(1, 1);
        disk.Run(async () =>
        {
            int[] expected = [1, 2, 1, 0, 0, 0, 0, 0];
            Assert.Equal(expected, await disk.UnitsAsync());
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[0] });
            Assert.Equal(expected, await disk.UnitsAsync());
            Assert.True((await disk.StatusAsync(3L * Unit, 5L * Unit)) is { IsZero: true, IsAllocated: true, Length: 5 * Unit });
        });
    }

    [Fact]
    public void A_base_shorter_than_the_disk_reads_as_zeroes_past_its_end_before_and_after()
    {
        StreamFixture disk = new StreamFixture(6, (Unit, (2L * Unit) + 512), (4096, 6L * Unit), (4096, 6L * Unit)).Fill(0, 0, 2).Fill(1, 4);
        disk.Run(async () =>
        {
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[0] });
            Assert.Equal(Writers(1, 1, 0, 0, 2, 0), await disk.UnitsAsync());
        });
    }

    [Theory]
    [InlineData(4096, 65536, 131072)]
    [InlineData(131072, 4096, 65536)]
    [InlineData(65536, 131072, 4096)]
    public void Different_cluster_sizes_in_one_chain_are_pulled_right(int basis, int middle, int top)
    {
        StreamFixture disk = new StreamFixture(12, basis, middle, top).Fill(0, 0, 12).Fill(1, 3).Fill(1, 6, 2).Fill(2, 8, 2);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[0] });
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_cluster_of_which_the_middle_provides_one_part_is_copied_whole()
    {
        StreamFixture disk = new StreamFixture(4, 65536, 4096, 131072).Fill(0, 0, 4);
        disk.Images[1].Fill(Unit + 4096, SectorStamp.Of(Unit + 4096, 4096, 7));
        disk.Run(async () =>
        {
            byte[] before = await ReadAsync(disk, 0, 2 * Unit);
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[0] });
            Assert.Equal(1, disk.Top.AllocatedClusters);
            await disk.Top.DetachAsync(disk.Top.BackingEdge!);
            Assert.Equal(before, await ReadAsync(disk, 0, 2 * Unit));
        });
    }

    [Fact]
    public void A_backing_node_without_anything_above_the_base_is_a_job_with_nothing_to_copy()
    {
        StreamFixture disk = new StreamFixture(4, s_small).Fill(0, 0, 4);
        disk.Run(async () =>
        {
            await disk.CompletesAsync(new StreamOptions { Base = disk.Images[1] });
            Assert.Same(disk.Images[1], disk.Top.Backing);
            Assert.Equal(0, disk.Top.AllocatedClusters);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Two_images_are_pulled_at_once_from_one_base()
    {
        StreamFixture one = new StreamFixture(8, Unit, 4096).Fill(0, 0, 8).Fill(1, 1);
        one.Images[0].AddReference();
        var other = new MemoryOverlayNode("other", one.Length, 16384, one.Environment, one.Images[0]);
        other.Fill(3L * Unit, SectorStamp.Of(3L * Unit, Unit, 5));
        one.Run(async () =>
        {
            var first = new StreamJob(one.Root);
            var second = new StreamJob(other);
            await first.StartAsync();
            await second.StartAsync();
            JobResult[] results = await Task.WhenAll(first.Completion, second.Completion);
            Assert.All(results, result => Assert.Equal(JobOutcome.Completed, result.Outcome));
            Assert.Equal(Writers(1, 2, 1, 1, 1, 1, 1, 1), await one.UnitsAsync());
            Assert.Equal(Writers(1, 1, 1, 5, 1, 1, 1, 1), await one.UnitsAsync(other));
        });
    }

    [Fact]
    [CorpusCase("5 two jobs on one range")]
    public void Jobs_on_disjoint_parts_of_a_chain_run_side_by_side_and_overlapping_ones_are_refused()
    {
        StreamFixture disk = new StreamFixture(8, 4096, 4096, 4096, 4096, 4096).Fill(0, 0, 8).Fill(1, 1, 4).Fill(3, 3, 3);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            var upper = new StreamJob(disk.Root, new StreamOptions { Id = "upper", Base = disk.Images[2] });
            var lower = new StreamJob(disk.Images[2], new StreamOptions { Id = "lower", Base = disk.Images[0] });
            await upper.StartAsync();
            await lower.StartAsync();
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(
                async () => await new StreamJob(disk.Images[3], new StreamOptions { Id = "third" }).StartAsync());
            Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
            Assert.Equal("job 'third' (stream) needs 'image3', which job 'upper' (stream) is working on.", refused.Message);
            Assert.All(await Task.WhenAll(upper.Completion, lower.Completion), result => Assert.Equal(JobOutcome.Completed, result.Outcome));
            Assert.Same(disk.Images[2], disk.Top.Backing);
            Assert.Same(disk.Images[0], disk.Images[2].Backing);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    [CorpusCase("5 base replaced while a job runs")]
    public void A_base_that_another_job_replaces_meanwhile_is_the_one_that_is_there_at_the_end()
    {
        StreamFixture disk = new StreamFixture(8, 4096, 4096, 4096, 4096).Fill(0, 0, 8).Fill(1, 1, 2).Fill(2, 4, 2);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            StreamJob upper = disk.NewJob(new StreamOptions { Base = disk.Images[1], BytesPerSecond = Unit });
            await upper.StartAsync(); // pulls image 2; what follows happens before its first second is over
            var replacement = new MemoryOverlayNode("replacement", disk.Length, 4096, disk.Environment);
            replacement.Fill(0, SectorStamp.Of(0, 8 * Unit, 1));
            replacement.Fill(Unit, SectorStamp.Of(Unit, 2 * Unit, 2));
            using (await GraphChange.BeginAsync(disk.Images[2], CancellationToken.None))
            {
                await disk.Images[2].ReplaceChild(disk.Images[2].BackingEdge!, replacement).DisposeAsync();
            }

            Assert.Equal(JobOutcome.Completed, (await upper.Completion).Outcome);
            Assert.Same(replacement, disk.Top.Backing);
            Assert.Equal("replacement", disk.Top.BackingReference?.Name);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_disk_that_copies_on_read_is_pulled_by_one_queue_and_no_unit_is_fetched_twice()
    {
        StreamFixture disk = new StreamFixture(32, Unit, 4096).Fill(0, 0, 32).CopyOnRead();
        var source = new HeldSteps { Delay = _ => disk.Scheduler.StepAsync() };
        disk.Images[0].Steps = source;
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob();
            await job.StartAsync();
            byte[] unit = new byte[Unit];
            for (long offset = disk.Length - Unit; offset >= 0; offset -= Unit)
            {
                await disk.Root.ReadAsync(offset, unit);
                Assert.Equal(1, SectorStamp.WriterOf(unit, offset));
            }

            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(disk.Length, source.Log.Sum(entry => entry.Range.Length));
            Assert.All(await disk.UnitsAsync(), writer => Assert.Equal(1, writer));
        });
    }

    private static int[] Writers(params int[] writers) => writers;

    private static async Task<byte[]> ReadAsync(StreamFixture disk, long offset, int length)
    {
        byte[] content = new byte[length];
        await disk.Root.ReadAsync(offset, content);
        return content;
    }
}
