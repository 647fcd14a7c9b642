using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>When a commit says it is done, what it makes of errors, and what a cancel leaves.</summary>
public class CommitControlTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void The_base_is_flushed_before_the_header_is_written_and_success_is_told_last()
    {
        StreamFixture disk = Disk();
        var order = new List<string>();
        disk.Images[0].Steps = Noting("base", order);
        disk.Images[3].Steps = Noting("overlay", order);
        disk.Run(async () =>
        {
            CommitJob job = disk.NewCommit(top: 2, basis: 0);
            job.Notified += (_, what) =>
            {
                if (what is JobEnded)
                {
                    order.Add("told");
                    Assert.Same(disk.Images[0], disk.Top.Backing);
                }
            };
            await StreamFixture.CompletesAsync(job);
        });
        Assert.Equal(["base Publish", "base Flush", "overlay Record", "told"], order.Where(step => step.Split(' ')[^1] is "Publish" or "Flush" or "Record" or "told").Distinct());
        Assert.True(order.LastIndexOf("base Publish") < order.LastIndexOf("base Flush") && order.LastIndexOf("base Flush") < order.IndexOf("overlay Record"));
    }

    [Theory]
    [InlineData(OverlayStep.Record, 3)]
    [InlineData(OverlayStep.Flush, 0)]
    public void A_failed_flush_or_header_write_fails_the_job_and_leaves_the_graph_as_it_was(OverlayStep failing, int image)
    {
        StreamFixture disk = Disk();
        var steps = new HeldSteps();
        steps.FailWhen((step, _) => step == failing ? BlockErrorKind.Io : null);
        disk.Images[image].Steps = steps;
        disk.Run(async () =>
        {
            int[] before = await disk.UnitsAsync();
            JobResult result = await StreamFixture.RunAsync(disk.NewCommit(top: 2, basis: 0));
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal(BlockErrorKind.Io, Assert.IsType<BlockLayerException>(result.Error).Kind);
            Assert.Equal(["image3", "image2", "image1", "image0"], disk.Chain);
            Assert.Equal(disk.Chain, result.Files.Needed);
            Assert.Empty(result.Files.Unneeded);
            Assert.Equal(new[] { "image1" }, result.Files.Invalid);
            Assert.Equal("image2", disk.Top.BackingReference?.Name);
            Assert.Equal(before, await disk.UnitsAsync());
            disk.AssertClean();

            steps.FailNothing();
            await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));
            Assert.Equal(before, await disk.UnitsAsync());
        });
    }

    [Fact]
    public void Report_fails_at_once_and_tells_which_half_failed()
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 7, BlockErrorKind.NoSpace);
        disk.Run(async () =>
        {
            JobResult result = await StreamFixture.RunAsync(disk.NewCommit(top: 2, basis: 0));
            Assert.Equal((JobOutcome.Failed, BlockErrorKind.NoSpace), (result.Outcome, ((BlockLayerException)result.Error!).Kind));
            Assert.Equal(["image3", "image2", "image1", "image0"], disk.Chain);
        });
        JobErrorOccurred error = Assert.Single(disk.Events.OfType<JobErrorOccurred>());
        Assert.Equal((CopyStep.Write, JobErrorAction.Report), (error.Step, error.Action));
        disk.AssertClean();
    }

    [Theory]
    [InlineData(JobErrorPolicy.Stop, BlockErrorKind.Io)]
    [InlineData(JobErrorPolicy.StopOnNoSpace, BlockErrorKind.NoSpace)]
    public void Stop_pauses_and_a_resume_tries_the_same_place_again(JobErrorPolicy policy, BlockErrorKind kind)
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 7, kind);
        disk.Run(async () =>
        {
            int[] shown = await disk.UnitsAsync(disk.Images[2]);
            CommitJob job = disk.NewCommit(top: 2, basis: 0, new CommitOptions { OnError = policy });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            Assert.Equal(JobState.Paused, job.State);
            Assert.Equal(kind, ((BlockLayerException)job.PausingError!).Kind);
            disk.Steps.FailNothing();
            job.Resume();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(shown, await disk.UnitsAsync(disk.Images[0]));
        });
        disk.AssertClean();
    }

    [Fact]
    public void Ignore_tries_the_same_place_again_until_it_succeeds()
    {
        StreamFixture disk = Disk();
        int failures = 0;
        disk.Steps.FailWhen((step, range) => step == OverlayStep.Read && range.Offset == 5L * Unit && failures < 7 && ++failures > 0 ? BlockErrorKind.Io : null);
        disk.Run(async () => await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0, new CommitOptions { OnError = JobErrorPolicy.Ignore })));
        Assert.Equal(7, failures);
        Assert.All(disk.Events.OfType<JobErrorOccurred>(), error => Assert.Equal((CopyStep.Read, JobErrorAction.Ignore), (error.Step, error.Action)));
        Assert.InRange(disk.Scheduler.Elapsed.TotalSeconds, 0.69, 0.8);
    }

    [Fact]
    public void A_commit_keeps_to_its_speed()
    {
        StreamFixture disk = new StreamFixture(64, Unit, Unit, Unit).Fill(1, 0, 64);
        disk.Run(async () => await StreamFixture.CompletesAsync(disk.NewCommit(top: 1, basis: 0, new CommitOptions { BytesPerSecond = 8 * Unit })));
        Assert.InRange(disk.Scheduler.Elapsed.TotalSeconds, 6.9, 8.1); // the last step is not slept for
    }

    [Fact]
    public void Cancelled_anywhere_a_commit_leaves_a_chain_that_works_and_the_next_one_completes()
    {
        for (int milliseconds = 50; milliseconds < 3000; milliseconds += 150)
        {
            StreamFixture disk = Disk();
            disk.Run(async () =>
            {
                int[] before = await disk.UnitsAsync();
                CommitJob job = disk.NewCommit(top: 2, basis: 0, new CommitOptions { BytesPerSecond = 4 * Unit });
                await job.StartAsync();
                await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), disk.Scheduler.Time);
                job.TryCancel();
                JobResult result = await job.Completion;
                disk.AssertClean();
                Assert.Equal(before, await disk.UnitsAsync());
                if (result.Outcome == JobOutcome.Cancelled)
                {
                    Assert.Equal(["image3", "image2", "image1", "image0"], result.Files.Needed);
                    await StreamFixture.CompletesAsync(disk.NewCommit(top: 2, basis: 0));
                }

                Assert.Equal(["image3", "image0"], disk.Chain);
                Assert.Equal(before, await disk.UnitsAsync());
            });
        }
    }

    private static StreamFixture Disk()
        => new StreamFixture(16, Unit, 4096, Unit, 4096).Fill(0, 0, 14).Fill(1, 2, 6).Fill(2, 5, 6).Fill(2, 14, 1).Fill(3, 9, 2);

    private static HeldSteps Noting(string image, List<string> order)
    {
        var steps = new HeldSteps();
        steps.FailWhen((step, _) =>
        {
            order.Add($"{image} {step}");
            return null;
        });
        return steps;
    }

    private static void FailStores(StreamFixture disk, int unit, BlockErrorKind kind)
        => disk.Steps.FailWhen((step, range) => step is OverlayStep.Store or OverlayStep.Write && range.Offset == (long)unit * Unit ? kind : null);
}
