using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Simulation.Tests.Crashes.Pulls;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// A power failure at any moment of a commit, of a pull into an image below the newest, and of a live rebase, under guests: the chain is the old one or the new one,
/// and either shows what guests were promised. Once the job has told success it is the new one.
/// </summary>
public sealed class ChainCrashTests
{
    private const string Old = "/vm/middle <- /vm/base";

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public Task After_any_crash_of_a_commit_the_disk_holds_what_was_promised(string format)
        => CheckAsync($"commit: middle of three into {format}", format, CommitAsync, Old, "/vm/base");

    [Theory]
    [InlineData("qcow2")]
    public Task After_any_crash_of_a_pull_below_the_newest_image_the_disk_holds_what_was_promised(string format)
        => CheckAsync($"pull: into the middle of three, {format}", format, PullAsync, Old, "/vm/middle");

    [Theory]
    [InlineData("raw")]
    [InlineData("qed")]
    public Task After_any_crash_of_a_live_rebase_the_disk_holds_what_was_promised(string format)
        => CheckAsync($"live rebase: {(format == "raw" ? "qcow2" : format)} onto another raw file", format, RebaseAsync, Old, "/vm/next");

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public Task A_commit_whose_base_is_not_flushed_before_the_header_is_caught(string format)
        => AssertCaughtAsync(format, "/vm/base", static () => new NoFlush(), CommitAsync, Old, "/vm/base");

    [Fact]
    public Task A_rebase_that_writes_the_link_before_the_data_is_caught()
        => AssertCaughtAsync("raw", "/vm/top", static () => new HeaderBeforeFlush(), RebaseAsync, Old, "/vm/next");

    [Fact]
    public Task A_commit_that_tells_success_before_the_header_is_durable_is_caught()
        => AssertCaughtAsync("raw", "/vm/top", static () => new NoFlush(), CommitAsync, Old, "/vm/base");

    private static async ValueTask<BlockJob> CommitAsync(Disk disk)
        => await disk.StartCommitAsync(new CommitOptions { TopName = "/vm/middle", BaseName = "/vm/base" });

    private static async ValueTask<BlockJob> PullAsync(Disk disk) => await disk.StartPullAsync(new StreamOptions { TopName = "/vm/middle" });

    private static async ValueTask<BlockJob> RebaseAsync(Disk disk) => await disk.StartRebaseAsync("/vm/next", backingOptions: new DiskOptions { Format = "raw" });

    private static async Task CheckAsync(string operation, string format, Func<Disk, ValueTask<BlockJob>> start, params string[] chains)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 0; seed < 4; seed++)
        {
            using ChainCrashWorld world = ChainCrashWorld.Create(seed, format);
            world.Run(start);
            points += world.Points;
            states += await world.CheckAsync(chains);
        }

        CrashTable.Print(operation, points, states, "old or new chain, flushed or later");
        Assert.True(states > 200, $"{states} states");
    }

    // No guests: what is lost is lost by the job alone.
    private static async Task AssertCaughtAsync(string format, string path, Func<StorageHook> hook, Func<Disk, ValueTask<BlockJob>> start, params string[] chains)
    {
        using ChainCrashWorld honest = ChainCrashWorld.Create(seed: 1, format);
        honest.Run(start, guests: 0);
        await honest.CheckAsync(chains);

        using ChainCrashWorld broken = ChainCrashWorld.Create(seed: 1, format, files => new HookedStorageProvider(files, path, hook()));
        broken.Run(start, guests: 0);
        await Assert.ThrowsAsync<CrashCheckException>(() => broken.CheckAsync(chains));
    }

    private sealed class NoFlush : StorageHook
    {
        public override ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }
}
