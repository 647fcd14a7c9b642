using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation.Tests.Crashes;
using Xunit;

namespace BlockLayer.Simulation.Tests.Images;

/// <summary>
/// Offline rebases and commits, and a power failure at any moment: the image opens and shows what it showed, its check finds nothing worse than leaks, and the same command run
/// again finishes the work. Once success was told nothing is left to do.
/// </summary>
public sealed class ChainOperationCrashTests
{
    private const int DiskLength = 160 * 1024;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 4, RandomSubsets = 6, RandomTornStates = 4 };

    [Theory]
    [InlineData("qcow2", "cluster_size=4096", "/vm/other")]
    [InlineData("qcow2", "cluster_size=4096", null)]
    [InlineData("qcow2", "cluster_size=16384,compat=0.10", "/vm/other")]
    [InlineData("qcow2", "cluster_size=16384,extended_l2=on", "/vm/base")]
    [InlineData("qed", "cluster_size=4096,table_size=2", "/vm/other")]
    [InlineData("qed", "cluster_size=4096,table_size=2", null)]
    [InlineData("add-cow", "cluster_size=4096,image_file=data", "/vm/other")]
    public async Task After_any_crash_of_a_rebase_the_image_shows_the_same_and_another_run_finishes_it(string format, string options, string? onto)
    {
        var storage = new SimulatedStorageProvider();
        (int points, long states) = await ExploreAsync(storage, format, options, Rebase(onto));
        CrashTable.Print($"rebase: {format} onto {onto?[4..] ?? "nothing"}, {options.Split(',')[0]}", points, states, "shows the same, old or new chain, rerun finishes");
        Assert.True(states > 60, $"{states} states");
    }

    [Theory]
    [InlineData("qcow2", "cluster_size=4096", "middle", "/vm/middle")]
    [InlineData("qcow2", "cluster_size=4096", "middle", "/vm/base")]
    [InlineData("qcow2", "cluster_size=4096", "base", "/vm/base")]
    [InlineData("qcow2", "cluster_size=16384,compat=0.10", "middle", "/vm/middle")]
    [InlineData("qcow2", "cluster_size=16384,extended_l2=on", "middle", "/vm/middle")]
    [InlineData("qed", "cluster_size=4096,table_size=2", "middle", "/vm/middle")]
    [InlineData("add-cow", "cluster_size=4096,image_file=data", "middle", "/vm/middle")]
    [InlineData("add-cow", "cluster_size=4096,image_file=data", "base", "/vm/base")]
    public async Task After_any_crash_of_a_commit_the_image_shows_the_same_and_another_run_finishes_it(string format, string options, string standsOn, string basis)
    {
        var storage = new SimulatedStorageProvider();
        (int points, long states) = await ExploreAsync(storage, format, options, Commit(standsOn, basis));
        CrashTable.Print($"commit: {format} on {standsOn} into {basis[4..]}, {options.Split(',')[0]}", points, states, "shows the same, base whole before it is emptied, rerun finishes");
        Assert.True(states > 60, $"{states} states");
    }

    // The order that the tests above are about: without it they would fail.
    [Theory]
    [InlineData("qcow2", "cluster_size=4096")]
    [InlineData("add-cow", "cluster_size=4096,image_file=data")]
    public async Task A_base_that_lies_about_its_flushes_is_noticed_when_the_image_is_emptied(string format, string options)
    {
        var storage = new SimulatedStorageProvider();
        CrashCheckException lost = await Assert.ThrowsAsync<CrashCheckException>(
            () => ExploreAsync(storage, format, options, Commit("base", "/vm/base"), lying: "/vm/base"));
        Assert.Contains("'/vm/top' differs", lost.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_that_lies_about_its_flushes_is_noticed_when_its_header_names_another_chain()
    {
        var storage = new SimulatedStorageProvider();
        await Assert.ThrowsAsync<CrashCheckException>(() => ExploreAsync(storage, "qcow2", "cluster_size=4096", Rebase("/vm/other"), lying: "/vm/top"));
    }

    private static Operation Rebase(string? onto) => new(
        onto is null ? [[], ["/vm/middle", "/vm/base"]] : [onto == "/vm/other" ? [onto, "/vm/base"] : [onto], ["/vm/middle", "/vm/base"]],
        async (opener, image) =>
        {
            BlockNode? backing = onto is null ? null : await opener.OpenAsync(onto, new ImageOpenOptions { Format = onto == "/vm/base" ? "raw" : "qcow2" });
            ImageRebaseResult result = await ImageRebaser.RebaseAsync(image, backing, new ImageRebaseOptions { Workers = 1 });
            return result.CopiedBytes;
        });

    private static Operation Commit(string standsOn, string basis) => new(
        [standsOn == "base" ? ["/vm/base"] : ["/vm/middle", "/vm/base"]],
        async (_, image) =>
        {
            ImageCommitResult result = await ImageCommitter.CommitAsync(image, BackingChain.FindByPath(image, basis), new ImageCommitOptions { Workers = 1 });
            return result.EmptiesImage ? result.CopiedBytes : 0;
        })
    {
        StandsOn = standsOn,
        Base = basis,
    };

    private static async Task<(int Points, long States)> ExploreAsync(
        SimulatedStorageProvider storage, string format, string options, Operation operation, string? lying = null)
    {
        byte[] content = await PrepareAsync(storage, format, options, operation.StandsOn);
        BlockEnvironment environment = SimulatedEnvironment.Inline(storage);
        if (lying is not null)
        {
            storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = lying, Effect = FaultEffect.Lie });
        }

        bool told = false;
        using var recorder = new CrashRecorder(storage) { Observe = () => told };
        await RunAsync(environment, format, operation);
        told = true;
        recorder.Capture("success was told");
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, reopened) =>
            {
                BlockEnvironment after = SimulatedEnvironment.Inline(reopened);
                await AssertShowsAsync(after, "/vm/top", format, content, operation.Chains);
                long copied = await RunAsync(after, format, operation);
                Assert.False((bool)state.Image.Observation! && copied > 0, $"success was told, and then {copied} bytes were copied");
                await AssertShowsAsync(after, "/vm/top", format, content, operation.Chains[..1]);
                if (operation.Base is { } basis)
                {
                    await AssertShowsAsync(after, basis, basis == "/vm/base" ? "raw" : "qcow2", content, chains: null);
                }
            },
            s_enumeration);
        return (recorder.Images.Count, states);
    }

    private static async Task<long> RunAsync(BlockEnvironment environment, string format, Operation operation)
    {
        var opener = new ImageOpener(BuiltInFormats.All, environment);
        await using BlockNode image = await opener.OpenAsync("/vm/top", new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite });
        return await operation.Run(opener, image);
    }

    private static async Task AssertShowsAsync(BlockEnvironment environment, string path, string format, byte[] content, string[][]? chains)
    {
        var opener = new ImageOpener(BuiltInFormats.All, environment);
        await using BlockNode image = await opener.OpenAsync(path, new ImageOpenOptions { Format = format });
        byte[] shown = await OracleGuest.ReadAllAsync(image);
        int equal = shown.AsSpan().CommonPrefixLength(content);
        Assert.True(equal == content.Length && equal == shown.Length, $"'{path}' differs at {equal} of {shown.Length}");
        if (chains is not null)
        {
            string[] chain = [.. BackingChain.Images(image).Skip(1).Select(static below => below.Path!)];
            Assert.Contains(chain, chains);
        }

        if (ImageChecker.CanCheck(image))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }
    }

    // base (raw, shorter) <- middle (qcow2, shorter too) <- top, or base <- top; other (qcow2) stands on base too.
    private static async Task<byte[]> PrepareAsync(SimulatedStorageProvider storage, string format, string options, string standsOn)
    {
        storage.AddFile("/vm/base", GuestStamp.Create(0, DiskLength - (40 * 1024), writer: 1));
        BlockEnvironment environment = SimulatedEnvironment.Inline(storage);
        var middle = new NewImage { Format = "qcow2", Length = DiskLength - (16 * 1024), Backing = new BackingReference("base", "raw"), Options = Options("cluster_size=4096") };
        await using (Disk disk = await Disk.CreateAsync("/vm/middle", middle, new DiskOptions { Environment = environment }))
        {
            await disk.WriteAsync(20 * 1024, GuestStamp.Create(20 * 1024, 30 * 1024, writer: 2));
            await disk.WriteZeroesAsync(90 * 1024, 20 * 1024);
            await disk.FlushAsync();
        }

        await using (Disk disk = await Disk.CreateAsync("/vm/other", middle with { Length = DiskLength }, new DiskOptions { Environment = environment }))
        {
            await disk.WriteAsync(40 * 1024, GuestStamp.Create(40 * 1024, 30 * 1024, writer: 3));
            await disk.WriteAsync(DiskLength - 8192, GuestStamp.Create(DiskLength - 8192, 8192, writer: 3));
            await disk.FlushAsync();
        }

        var top = new NewImage { Format = format, Length = DiskLength, Backing = new BackingReference(standsOn, standsOn == "base" ? "raw" : "qcow2"), Options = Options(options) };
        await using Disk image = await Disk.CreateAsync("/vm/top", top, new DiskOptions { Environment = environment });
        await image.WriteAsync(60 * 1024, GuestStamp.Create(60 * 1024, 9 * 1024, writer: 4));
        await image.WriteZeroesAsync(4096, 8192);
        await image.FlushAsync();
        return await OracleGuest.ReadAllAsync(image.Root);
    }

    private static Dictionary<string, string> Options(string options)
        => options.Split(',').Select(static option => option.Split('=')).ToDictionary(static pair => pair[0], static pair => pair[1]);

    /// <summary>An operation on the open image, which answers how much it copied, and the chains below the image that a crash may leave, the finished one first.</summary>
    private sealed record Operation(string[][] Chains, Func<ImageOpener, BlockNode, Task<long>> Run)
    {
        /// <summary>The backing file of the image.</summary>
        internal string StandsOn { get; init; } = "middle";

        /// <summary>What has to show the same in the end; null for nothing.</summary>
        internal string? Base { get; init; }
    }
}
