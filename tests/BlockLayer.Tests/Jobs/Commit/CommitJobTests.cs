using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What a commit of images below the newest does to the chain, to its files and to what is read.</summary>
public class CommitJobTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void The_base_shows_what_the_top_showed_and_takes_its_place()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            int[] shownByTop = await disk.UnitsAsync(disk.Images[2]);
            JobResult result = await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));

            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(shownByTop, await disk.UnitsAsync(disk.Images[0]));
            Assert.Equal(["image3", "image0"], disk.Chain);
            Assert.Equal("image0", disk.Top.BackingReference?.Name);
            Assert.Equal(new[] { "image3", "image0" }, result.Files.Needed);
            Assert.Equal(new[] { "image2" }, result.Files.Unneeded);
            Assert.Equal(new[] { "image1" }, result.Files.Invalid);
            Assert.Equal(new[] { "image0" }, result.Files.Changed);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Only_what_the_images_above_the_base_decide_is_written()
    {
        StreamFixture disk = new StreamFixture(8, Unit, Unit, Unit, Unit).Fill(0, 0, 8).Fill(1, 2).Fill(2, 5).Fill(3, 7);
        disk.Run(async () =>
        {
            CommitJob job = disk.NewCommit(top: 2, basis: 0);
            await StreamFixture.CompletesAsync(job);
            Assert.Equal(2L * Unit, job.CopiedBytes);
            Assert.Equal(new[] { 1, 1, 2, 1, 1, 3, 1, 1 }, await disk.UnitsAsync(disk.Images[0]));
        });
    }

    [Fact]
    public void Zeroes_above_the_base_are_written_as_zeroes()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit, Unit).Fill(0, 0, 4);
        disk.Images[1].FillZero(Unit, 2 * Unit);
        disk.Run(async () =>
        {
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 1, basis: 0));
            Assert.Equal(new[] { 1, 0, 0, 1 }, await disk.UnitsAsync());
            BlockStatus status = await disk.Images[0].GetStatusAsync(Unit, 2 * Unit, StatusDepth.Node);
            Assert.True(status is { IsZero: true, IsData: false, Length: 2 * Unit }, $"{status}");
        });
        Assert.Equal(0, disk.Steps.Count(OverlayStep.Store));
    }

    [Fact]
    public void Data_that_turns_out_to_be_zero_is_written_as_zeroes()
    {
        StreamFixture disk = new StreamFixture(4, Unit, Unit, Unit).Fill(0, 0, 4);
        disk.Images[1].Fill(Unit, new byte[Unit]);
        disk.Run(async () =>
        {
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 1, basis: 0));
            Assert.True((await disk.Images[0].GetStatusAsync(Unit, Unit, StatusDepth.Node)).IsZero);
        });
    }

    [Theory]
    [InlineData(3, 8, 8)] // a shorter base grows
    [InlineData(8, 3, 8)] // past the end of a shorter image in between, and of the top, there are zeroes, whatever the base holds there
    [InlineData(8, 8, 3)]
    [InlineData(8, 5, 3)]
    [InlineData(2, 3, 5)]
    public void Images_of_different_lengths_read_as_before(int baseUnits, int middleUnits, int topUnits)
    {
        StreamFixture disk = new StreamFixture(8, (4096, (long)baseUnits * Unit), (Unit, (long)middleUnits * Unit), (4096, (long)topUnits * Unit), (Unit, 8L * Unit))
            .Fill(0, 0, baseUnits).Fill(1, 1, 1).Fill(2, 2, 1).Fill(3, 6, 1);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(Math.Max(baseUnits, topUnits), disk.Images[0].Length / Unit);
            Assert.Equal(["image3", "image0"], disk.Chain);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Without_a_base_the_lowest_image_is_it()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            await StreamFixture.CompletesAsync(new CommitJob(disk.Root, new CommitOptions { Top = disk.Images[1] }));
            Assert.Equal(["image3", "image2", "image0"], disk.Chain);
        });
    }

    [Fact]
    public void Every_overlay_of_the_top_is_linked_to_the_base()
    {
        StreamFixture disk = Disk();
        disk.Images[2].AddReference();
        var sibling = new MemoryOverlayNode("sibling", disk.Length, Unit, disk.Environment, disk.Images[2]);
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync(sibling);
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));
            Assert.Same(disk.Images[0], sibling.Backing);
            Assert.Equal("image0", sibling.BackingReference?.Name);
            Assert.Equal(before, await disk.UnitsAsync(sibling));
            Assert.Equal(["image3", "image0"], disk.Chain);
            await sibling.DisposeAsync();
        });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Somebody_else_who_reads_what_becomes_invalid_is_found_before_anything_is_written(int image)
    {
        StreamFixture disk = Disk();
        disk.Images[image].AddReference();
        var other = new MemoryOverlayNode("other", disk.Length, Unit, disk.Environment, disk.Images[image]);
        disk.Run(async () =>
        {
            await RefusedAsync(
                disk.NewCommit(top: 2, basis: 0), BlockErrorKind.Conflict, $"job 'commit' (commit) changes what 'image{image}' shows, which 'other' reads.");
            await other.DisposeAsync();
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));
        });
        disk.AssertClean();
    }

    [Fact]
    public void Nobody_begins_to_read_the_base_while_it_is_written()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            CommitJob job = disk.NewCommit(top: 2, basis: 0, new CommitOptions { BytesPerSecond = Unit });
            await job.StartAsync();
            var late = new MemoryOverlayNode("late", disk.Length, Unit, disk.Environment);
            BlockLayerException refusal = Assert.Throws<BlockLayerException>(() => late.AttachBacking(disk.Images[0]));
            Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
            Assert.All(disk.Images[1..3], image => Assert.NotNull(image.BackingEdge?.FrozenBy)); // nor puts another image below one that is committed
            job.Cancel();
            await job.Completion;
            await late.DisposeAsync();
        });
        disk.AssertClean();
    }

    [Fact]
    public void What_makes_no_sense_is_refused()
    {
        StreamFixture disk = Disk();
        var stranger = new MemoryOverlayNode("stranger", disk.Length, Unit, disk.Environment);
        disk.Run(async () =>
        {
            await RefusedAsync(
                disk.NewCommit(top: 3, basis: 0), BlockErrorKind.Unsupported, "'image3' is the disk's newest image, which guests write: this job commits images below it.");
            await RefusedAsync(disk.NewCommit(top: 1, basis: 1), BlockErrorKind.NotFound, "'image1' cannot be committed into itself.");
            await RefusedAsync(disk.NewCommit(top: 1, basis: 2), BlockErrorKind.NotFound, "'image2' is not in the backing chain of 'image1'.");
            await RefusedAsync(new CommitJob(disk.Root, new CommitOptions { Top = stranger }), BlockErrorKind.NotFound, "'stranger' is not in the backing chain of 'image3'.");
            await RefusedAsync(
                disk.NewCommit(top: 2, basis: 0, new CommitOptions { BackingName = new string('x', 2000) }), BlockErrorKind.NoSpace, "There is no room for a backing name of 2000 characters.");
            await Assert.ThrowsAsync<ArgumentException>(async () => await new CommitJob(disk.Root, new CommitOptions()).StartAsync());
            await Assert.ThrowsAsync<ArgumentException>(
                async () => await disk.NewCommit(top: 2, basis: 0, new CommitOptions { BaseName = "image0" }).StartAsync());
        });
        Assert.Equal(0, disk.Steps.Count(OverlayStep.Store));
        disk.AssertClean();
    }

    [Fact]
    public void Parts_of_a_chain_that_overlap_are_refused_and_others_work_at_the_same_time()
    {
        StreamFixture disk = new StreamFixture(16, Unit, Unit, Unit, Unit, Unit, Unit);
        for (int image = 0; image < 5; image++)
        {
            disk.Fill(image, image).Fill(image, image + 5).Fill(image, image + 8, 2);
        }

        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            CommitJob low = disk.NewCommit(top: 1, basis: 0, new CommitOptions { Id = "low", BytesPerSecond = Unit });
            await low.StartAsync();
            await RefusedAsync(disk.NewCommit(top: 2, basis: 1), BlockErrorKind.Conflict, "job 'commit' (commit) needs 'image1', which job 'low' (commit) is working on.");
            await RefusedAsync(
                disk.NewJob(new StreamOptions { Base = disk.Images[0] }), BlockErrorKind.Conflict, "job 'stream' (stream) needs 'image1', which job 'low' (commit) is working on.");
            CommitJob high = disk.NewCommit(top: 3, basis: 2, new CommitOptions { Id = "high" });
            Assert.Equal(JobOutcome.Completed, (await StreamFixture.RunAsync(high)).Outcome);
            StreamJob stream = disk.NewJob(new StreamOptions { Base = disk.Images[2] });
            Assert.Equal(JobOutcome.Completed, (await StreamFixture.RunAsync(stream)).Outcome);
            low.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await low.Completion).Outcome);
            Assert.Equal(["image5", "image2", "image0"], disk.Chain);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    // Overlay sizes that do not agree, each image with something of its own.
    private static StreamFixture Disk()
        => new StreamFixture(16, Unit, 4096, Unit, 4096).Fill(0, 0, 14).Fill(1, 2, 6).Fill(2, 5, 6).Fill(2, 14, 1).Fill(3, 9, 2);

    private static async Task RefusedAsync(BlockJob job, BlockErrorKind kind, string message)
    {
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await job.StartAsync());
        Assert.Equal((kind, message), (refusal.Kind, refusal.Message));
        Assert.Equal(JobState.Null, job.State);
    }
}
