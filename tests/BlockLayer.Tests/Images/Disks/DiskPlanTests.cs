using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>What is planned for jobs on an open disk while others use its chain, and what the start makes of directories.</summary>
public sealed class DiskPlanTests
{
    private static readonly string[] s_directory = ["/vm"];

    private readonly WatchedFiles _files = new(new MemoryStorageProvider());
    private readonly DiskOptions _options;

    public DiskPlanTests() => _options = new DiskOptions { Environment = TestEnvironment.Inline() with { Files = _files } };

    [Fact]
    public async Task A_commit_that_would_destroy_an_image_is_refused_before_it_begins_unless_nobody_looks()
    {
        await MakeAsync("base", "middle", "top");
        await MakeOverlayAsync("other", "base");
        await using Disk disk = await Disk.OpenAsync("/vm/top", _options);

        foreach (Func<Task> start in new Func<Task>[]
        {
            () => disk.StartCommitAsync(new CommitOptions { TopName = "/vm/middle" }, s_directory).AsTask(),
            () => disk.StartCommitAsync(new ActiveCommitOptions(), s_directory).AsTask(),
        })
        {
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(start);
            Assert.Equal(
                (BlockErrorKind.Conflict, "It would destroy an image outside the chain: '/vm/other' (through '/vm/base')."), (refusal.Kind, refusal.Message));
        }

        Assert.Equal(3, disk.Chain.Count);
        CommitJob job = await disk.StartCommitAsync(new CommitOptions { TopName = "/vm/middle" });
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
    }

    [Fact]
    public async Task A_commit_that_copies_nothing_destroys_nothing()
    {
        await MakeAsync("base");
        await MakeOverlayAsync("middle", "base");
        await MakeOverlayAsync("top", "middle");
        await MakeOverlayAsync("other", "base");
        await using Disk disk = await Disk.OpenAsync("/vm/top", _options);
        var options = new CommitOptions { TopName = "/vm/middle" };

        ChainPlan plan = await disk.PlanCommitAsync(options, s_directory);
        CommitJob job = await disk.StartCommitAsync(options, s_directory);
        JobResult result = await job.Completion;

        Assert.Equal((0, 0), (plan.CopiedBytes, plan.Destroyed.Count));
        Assert.Equal((JobOutcome.Completed, 0), (result.Outcome, result.Files.Changed.Count));
        Assert.Equal(plan.Unneeded, result.Files.Unneeded);
    }

    [Fact]
    public async Task What_the_newest_image_is_planned_for_includes_what_a_guest_may_write()
    {
        await MakeAsync("base");
        await MakeOverlayAsync("top", "base");
        await MakeOverlayAsync("other", "base");
        await using Disk disk = await Disk.OpenAsync("/vm/top", _options);

        ChainPlan plan = await disk.PlanCommitAsync(new ActiveCommitOptions(), s_directory);

        Assert.Equal(0, plan.CopiedBytes);
        Assert.Equal([new AffectedImage("/vm/other", "/vm/base")], plan.Destroyed);
    }

    [Fact]
    public async Task Who_reads_the_chain_in_this_process_refuses_the_plan_as_it_refuses_the_start()
    {
        await MakeAsync("base", "middle", "top");
        await using Disk disk = await Disk.OpenAsync("/vm/top", _options);
        BlockNode middle = disk.Chain[1];
        middle.AddReference();
        await using var reader = new Disk(middle);
        var options = new CommitOptions { TopName = "/vm/middle", BaseName = "/vm/base" };
        var active = new ActiveCommitOptions();

        BlockLayerException planned = await Assert.ThrowsAsync<BlockLayerException>(() => disk.PlanCommitAsync(active).AsTask());
        BlockLayerException started = await Assert.ThrowsAsync<BlockLayerException>(() => disk.StartCommitAsync(active).AsTask());
        Assert.Equal((BlockErrorKind.Conflict, started.Message), (planned.Kind, planned.Message));
        Assert.Equal(["/vm/base"], (await disk.PlanCommitAsync(options)).Changed); // whoever stands on the top is led to the base
    }

    [Fact]
    public async Task A_plan_is_made_beside_a_job_and_not_of_a_chain_that_the_job_has_changed_meanwhile()
    {
        await MakeAsync("base", "middle", "top");
        await MakeOverlayAsync("beside", backing: null);
        await using Disk disk = await Disk.OpenAsync("/vm/top", _options);
        StreamJob pull = await disk.StartPullAsync(new StreamOptions { BaseName = "/vm/base", AutoFinalize = false });
        Assert.Equal(JobState.Pending, pull.State);

        ChainPlan beside = await disk.PlanCommitAsync(new ActiveCommitOptions(), s_directory);
        _files.BeforeOpen = path => pull.FinalizeJob(); // when the plan looks at the file beside
        BlockLayerException meanwhile = await Assert.ThrowsAsync<BlockLayerException>(() => disk.PlanCommitAsync(new ActiveCommitOptions(), s_directory).AsTask());
        _files.BeforeOpen = null;
        ChainPlan afterwards = await disk.PlanCommitAsync(new ActiveCommitOptions(), s_directory);

        Assert.Equal(["/vm/middle"], beside.Invalid);
        Assert.Equal((BlockErrorKind.Conflict, "The backing chain of '/vm/top' was changed by a job while the plan was made."), (meanwhile.Kind, meanwhile.Message));
        Assert.Empty(afterwards.Invalid);
        Assert.Equal(JobOutcome.Completed, (await pull.Completion).Outcome);
    }

    [Fact]
    public async Task A_closed_disk_plans_nothing()
    {
        await MakeAsync("base", "top");
        Disk disk = await Disk.OpenAsync("/vm/top", _options);
        await disk.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.PlanPullAsync().AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.PlanCommitAsync(new ActiveCommitOptions()).AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.PlanRebaseAsync(backing: null).AsTask());
    }

    // Each image holds something of its own.
    private async Task MakeAsync(params string[] names)
    {
        for (int i = 0; i < names.Length; i++)
        {
            await MakeOverlayAsync(names[i], i == 0 ? null : names[i - 1]);
            await using Disk disk = await Disk.OpenAsync($"/vm/{names[i]}", _options);
            await disk.WriteAsync(i * 100_000, Pattern.Of(i * 100_000, 150_000, writer: i));
        }
    }

    private async Task MakeOverlayAsync(string name, string? backing)
    {
        var image = new NewImage { Format = "qcow2", Length = backing is null ? 1 << 20 : null, Backing = backing is null ? null : new BackingReference(backing, "qcow2") };
        await using Disk disk = await Disk.CreateAsync($"/vm/{name}", image, _options);
    }
}
