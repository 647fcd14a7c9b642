using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Tests.Images.Hostile;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Jobs that are asked for what cannot be, or whose users do odd things at odd moments: it is refused or it works, and nothing is lost or held.</summary>
public class JobMisuseTests
{
    private const int Small = 256 * 1024;

    private static readonly Dictionary<string, Action<BlockJob>> s_verbs = new()
    {
        ["pause"] = static job => job.Pause(),
        ["resume"] = static job => job.Resume(),
        ["set-speed"] = static job => job.BytesPerSecond = 1 << 20,
        ["complete"] = static job => job.Complete(),
        ["cancel"] = static job => job.Cancel(),
        ["cancel by force"] = static job => job.Cancel(force: true),
        ["finalize"] = static job => job.FinalizeJob(),
        ["dismiss"] = static job => job.Dismiss(),
    };

    public static TheoryData<string> Kinds => JobBench.Kinds;

    public static MatrixTheoryData<string, string> KindsAndVerbs => new(JobBench.AllKinds, s_verbs.Keys);

    [Fact]
    [CorpusCase("5 base above the top, base is a sibling")]
    public void A_base_that_is_not_below_the_top_is_refused()
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockNode[] chain = [.. disk.Chain];
            await using Disk sibling = await Disk.CreateAsync(
                "/sibling",
                new NewImage { Format = "qcow2", Length = bench.Length, Backing = new BackingReference("/base", "qcow2") },
                bench.Machine.As("qcow2"));
            BlockNode stranger = sibling.Chain[0];
            BlockJob[] jobs =
            [
                new StreamJob(disk.Root, new StreamOptions { Top = chain[1], Base = chain[0] }),
                new StreamJob(disk.Root, new StreamOptions { Top = chain[1], Bottom = chain[0] }),
                new StreamJob(disk.Root, new StreamOptions { Base = stranger }),
                new StreamJob(disk.Root, new StreamOptions { Base = sibling.Chain[1] }), // the same file, opened for somebody else
                new CommitJob(disk.Root, new CommitOptions { Top = chain[2], Base = chain[1] }),
                new CommitJob(disk.Root, new CommitOptions { Top = chain[1], Base = chain[0] }),
                new CommitJob(disk.Root, new CommitOptions { Top = chain[1], Base = stranger }),
                new CommitJob(disk.Root, new CommitOptions { Top = stranger, Base = chain[2] }),
                new ActiveCommitJob(disk.Root, new ActiveCommitOptions { Base = chain[0] }),
                new ActiveCommitJob(disk.Root, new ActiveCommitOptions { Base = stranger }),
            ];
            foreach (BlockJob job in jobs)
            {
                BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => job.StartAsync().AsTask());
                Assert.Equal(BlockErrorKind.NotFound, refusal.Kind);
                Assert.Equal(JobState.Null, job.State);
            }

            Assert.All(chain, static image => Assert.Empty(image.Claims));
        });
    }

    [Fact]
    [CorpusCase("5 job id reuse")]
    public void Jobs_of_one_name_are_not_taken_for_each_other()
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            StreamJob upper = await disk.StartPullAsync(new StreamOptions { Id = "same", Bottom = disk.Chain[0], AutoFinalize = false });
            StreamJob lower = await disk.StartPullAsync(new StreamOptions { Id = "same", Top = disk.Chain[1], BytesPerSecond = 1 });
            await bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
            Assert.Throws<JobVerbException>(lower.FinalizeJob);
            lower.Cancel();
            Assert.Equal(JobOutcome.Cancelled, (await lower.Completion).Outcome);
            Assert.Equal(JobState.Pending, upper.State);
            upper.FinalizeJob();
            Assert.Equal(JobOutcome.Completed, (await upper.Completion).Outcome);

            StreamJob again = await disk.StartPullAsync(new StreamOptions { Id = "same" });
            Assert.Equal(JobOutcome.Completed, (await again.Completion).Outcome);
            Assert.Equal((JobState.Null, JobState.Null), (upper.State, lower.State));
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    [CorpusCase("5 speed negative, speed 2^63-1")]
    public void A_speed_is_no_less_than_nothing_and_as_much_as_can_be_said(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => bench.NewAsync(disk, kind, bytesPerSecond: -1));
            BlockJob job = await bench.NewAsync(disk, kind, bytesPerSecond: long.MaxValue);
            await job.StartAsync();
            Assert.Throws<ArgumentOutOfRangeException>(() => job.BytesPerSecond = -1);
            Assert.Throws<ArgumentOutOfRangeException>(() => job.BytesPerSecond = long.MinValue);
            Assert.Equal(long.MaxValue, job.BytesPerSecond);
            Assert.Equal(JobOutcome.Completed, (await bench.EndAsync(job)).Outcome);
        });
    }

    [Theory]
    [MemberData(nameof(KindsAndVerbs))]
    [CorpusCase("5 callback asks something of its job")]
    public void A_handler_may_ask_anything_of_its_job_at_any_event(string kind, string verb)
    {
        // One event later each time, until there are no more.
        for (int at = 0, told = int.MaxValue; at < told; at++)
        {
            var bench = new JobBench(Small);
            bench.Run(async disk =>
            {
                BlockJob job = await bench.NewAsync(disk, kind);
                told = 0;
                JobEvent? last = null;
                job.Notified += (_, what) =>
                {
                    TestContext.Current.TestOutputHelper?.WriteLine($"{at}: {what}");
                    last = what;
                    if (told++ == at)
                    {
                        Ask(job, verb);
                    }
                };
                await job.StartAsync();
                JobResult result = await bench.EndAsync(job);
                Assert.True(result.Outcome != JobOutcome.Failed && result.Error is null, result.Error?.ToString());
                Assert.Equal((JobState.Null, new JobStateChanged(JobState.Null)), (job.State, last));
            });
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    [CorpusCase("5 callback disposes the disk")]
    public void A_handler_may_close_the_disk_at_any_event(string kind)
    {
        for (int at = 0, told = int.MaxValue; at < told; at++)
        {
            var bench = new JobBench(Small);
            bench.Run(async disk =>
            {
                BlockJob job = await bench.NewAsync(disk, kind);
                told = 0;
                Task closing = Task.CompletedTask;
                job.Notified += (_, _) =>
                {
                    if (told++ == at)
                    {
                        closing = disk.DisposeAsync().AsTask();
                    }
                };
                await job.StartAsync();
                JobResult result = await bench.EndAsync(job);
                await closing;
                Assert.NotEqual(JobOutcome.Failed, result.Outcome);
            });
        }
    }

    [Theory]
    [InlineData("mirror")]
    [InlineData("active commit")]
    [CorpusCase("5 dispose during READY")]
    public void Closing_the_disk_ends_a_job_that_is_ready(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind);
            await job.StartAsync();
            await bench.Machine.PassAsync(TimeSpan.FromSeconds(10));
            Assert.Equal(JobState.Ready, job.State);
            await disk.DisposeAsync();
            Assert.Equal((JobOutcome.Cancelled, JobState.Null), ((await job.Completion).Outcome, job.State));
        });
    }

    // Open files stay what they are. But a name that does not lead to the base any more is not written down.
    [Theory]
    [InlineData("/disk", JobOutcome.Completed)]
    [InlineData("/middle", JobOutcome.Completed)]
    [InlineData("/base", JobOutcome.Failed)]
    [CorpusCase("5 rename of a file while a job runs")]
    public void A_file_may_be_renamed_while_a_pull_runs(string renamed, JobOutcome outcome)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, "stream", bytesPerSecond: 1 << 20);
            await job.StartAsync();
            await bench.Machine.Storage.RenameAsync(renamed, "/elsewhere", CancellationToken.None);
            JobResult result = await bench.EndAsync(job);
            Assert.Equal(outcome, result.Outcome);
            await bench.Machine.Storage.RenameAsync("/elsewhere", renamed, CancellationToken.None);
            Assert.Equal(outcome == JobOutcome.Completed ? 2 : 3, disk.Chain.Count);
        });
    }

    // Taken or refused; what a handler throws would end the job.
    private static void Ask(BlockJob job, string verb)
    {
        try
        {
            s_verbs[verb](job);
        }
        catch (JobVerbException)
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"   does not take {verb}");
        }
    }
}
