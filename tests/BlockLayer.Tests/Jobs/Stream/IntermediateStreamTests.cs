using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Pulls into an image below the newest, and several at the same time.</summary>
public class IntermediateStreamTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void An_image_below_the_newest_is_filled_and_the_newest_stays_as_it_is()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            int allocated = disk.Top.AllocatedClusters;
            JobResult result = await StreamFixture.RunAsync(disk.NewJob(new StreamOptions { Top = disk.Images[3], Base = disk.Images[0] }));
            Assert.Equal(JobOutcome.Completed, result.Outcome);
            Assert.Equal(["image5", "image4", "image3", "image0"], disk.Chain);
            Assert.Equal(allocated, disk.Top.AllocatedClusters);
            Assert.Equal(before, await disk.UnitsAsync());
            Assert.Equal(disk.Chain, result.Files.Needed);
            Assert.Equal(new[] { "image2", "image1" }, result.Files.Unneeded);
        });
        disk.AssertClean();
    }

    [Fact]
    public void With_a_bottom_what_stands_below_it_in_the_end_is_the_base()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            StreamJob upper = disk.NewJob(new StreamOptions { Id = "upper", Bottom = disk.Images[4], BytesPerSecond = Unit });
            await upper.StartAsync();
            StreamJob lower = disk.NewJob(new StreamOptions { Id = "lower", Top = disk.Images[3] });
            Assert.Equal(JobOutcome.Completed, (await StreamFixture.RunAsync(lower)).Outcome);
            upper.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await upper.Completion).Outcome);
            Assert.Equal(["image5", "image3"], disk.Chain);
            Assert.Equal("image3", disk.Top.BackingReference?.Name);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void The_lower_of_two_pulls_may_end_last()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            StreamJob lower = disk.NewJob(new StreamOptions { Id = "lower", Top = disk.Images[2], Bottom = disk.Images[1], BytesPerSecond = Unit });
            await lower.StartAsync();
            Assert.Equal(JobOutcome.Completed, (await StreamFixture.RunAsync(disk.NewJob(new StreamOptions { Id = "upper", Base = disk.Images[2] }))).Outcome);
            Assert.Equal(["image5", "image2", "image1", "image0"], disk.Chain);
            lower.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await lower.Completion).Outcome);
            Assert.Equal(["image5", "image2", "image0"], disk.Chain);
            Assert.Equal(before, await disk.UnitsAsync());
        });
        disk.AssertClean();
    }

    [Fact]
    public void Parts_with_an_image_in_common_are_refused()
    {
        StreamFixture disk = Disk();
        disk.Run(async () =>
        {
            StreamJob lower = disk.NewJob(new StreamOptions { Id = "lower", Top = disk.Images[3], Base = disk.Images[1], BytesPerSecond = Unit });
            await lower.StartAsync();
            await RefusedAsync(disk.NewJob(new StreamOptions { Id = "upper", Base = disk.Images[2] }), "job 'upper' (stream) needs 'image3', which job 'lower' (stream) is working on.");
            await RefusedAsync(disk.NewJob(new StreamOptions { Id = "other", Top = disk.Images[2] }), "job 'other' (stream) needs 'image2', which job 'lower' (stream) is working on.");
            lower.Cancel();
            await lower.Completion;
        });
        disk.AssertClean();
    }

    [Fact]
    public void Only_one_name_for_an_image_is_taken_and_it_has_to_be_in_the_chain()
    {
        StreamFixture disk = Disk();
        var stranger = new MemoryOverlayNode("stranger", disk.Length, Unit, disk.Environment);
        disk.Run(async () =>
        {
            foreach (BlockNode image in new[] { stranger, disk.Images[4] })
            {
                await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.NewJob(new StreamOptions { Top = disk.Images[3], Bottom = image }).StartAsync());
            }

            await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.NewJob(new StreamOptions { Top = stranger }).StartAsync());
            await Assert.ThrowsAsync<ArgumentException>(async () => await disk.NewJob(new StreamOptions { Top = disk.Images[3], TopName = "image3" }).StartAsync());
            await Assert.ThrowsAsync<ArgumentException>(async () => await disk.NewJob(new StreamOptions { Bottom = disk.Images[3], Base = disk.Images[1] }).StartAsync());
        });
        disk.AssertClean();
    }

    private static StreamFixture Disk()
    {
        var disk = new StreamFixture(16, Unit, 4096, Unit, 4096, Unit, 4096);
        for (int image = 0; image < 6; image++)
        {
            disk.Fill(image, image).Fill(image, image + 5).Fill(image, image + 8, 2);
        }

        return disk;
    }

    private static async Task RefusedAsync(BlockJob job, string message)
    {
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await job.StartAsync());
        Assert.Equal((BlockErrorKind.Conflict, message), (refusal.Kind, refusal.Message));
    }
}
