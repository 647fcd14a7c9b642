using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>What is told before an operation is what the operation does, and whom it would destroy is found by names in headers alone.</summary>
public sealed class ChainPlannerTests : IDisposable
{
    private const int Length = 1 << 20;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Overlays_of_the_base_and_of_images_in_between_are_destroyed_and_those_above_the_image_are_not()
    {
        await MakeChainAsync("base", "middle", "top", "above");
        await MakeOverlayAsync("of-base", "base");
        await MakeOverlayAsync("of-middle", "middle");
        await MakeOverlayAsync("of-of-middle", "of-middle");
        await MakeOverlayAsync("of-top", "top");
        await MakeOverlayAsync("stranger", "elsewhere", verify: false);

        ChainPlan plan = await PlanCommitAsync("top", "base");

        Assert.Equal([PathOf("base")], plan.Changed);
        Assert.Equal([PathOf("middle")], plan.Invalid);
        Assert.Equal(
            [new(PathOf("of-base"), PathOf("base")), new(PathOf("of-middle"), PathOf("middle")), new(PathOf("of-of-middle"), PathOf("middle"))],
            plan.Destroyed);
        Assert.Empty(plan.Unjudged);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(plan.ThrowIfDestructive);
        Assert.Equal(
            $"It would destroy 3 images outside the chain: '{PathOf("of-base")}' (through '{PathOf("base")}'), '{PathOf("of-middle")}' (through '{PathOf("middle")}'), "
            + $"'{PathOf("of-of-middle")}' (through '{PathOf("middle")}').",
            refused.Message);
    }

    [Fact]
    public async Task A_commit_into_the_own_backing_file_destroys_only_other_overlays_of_that_file()
    {
        await MakeChainAsync("base", "middle", "top");
        await MakeOverlayAsync("of-base", "base");

        ChainPlan harmless = await PlanCommitAsync("top", "middle");
        await MakeOverlayAsync("of-middle", "middle");
        ChainPlan harmful = await PlanCommitAsync("top", "middle");

        harmless.ThrowIfDestructive();
        Assert.Equal((0, true), (harmless.Invalid.Count, harmless.EmptiesImage));
        Assert.Equal([new(PathOf("of-middle"), PathOf("middle"))], harmful.Destroyed);
    }

    [Fact]
    public async Task Links_are_the_files_they_lead_to()
    {
        await MakeChainAsync("base", "top");
        File.CreateSymbolicLink(PathOf("link"), "base");
        await MakeOverlayAsync("of-link", "link");
        File.CreateSymbolicLink(PathOf("link-to-overlay"), "of-link");

        ChainPlan plan = await PlanCommitAsync("top", "base");

        Assert.Equal([new(PathOf("link-to-overlay"), PathOf("base"))], plan.Destroyed); // one file, told by the first of its names
    }

    [Fact]
    public async Task What_a_file_names_is_looked_for_from_each_directory_that_has_the_file()
    {
        await MakeChainAsync("base", "top");
        string elsewhere = Directory.CreateDirectory(PathOf("elsewhere")).FullName;
        await MakeOverlayAsync("elsewhere/sibling", "base", verify: false); // there is no base there
        File.CreateSymbolicLink(PathOf("sibling"), "elsewhere/sibling");

        await using Disk disk = await Disk.OpenAsync(PathOf("top"));
        ChainPlan plan = await ChainPlanner.PlanCommitAsync(disk.Root, directories: [elsewhere, _folder.Path]);

        Assert.Equal([new(PathOf("elsewhere/sibling"), PathOf("base"))], plan.Destroyed); // by the first of its names
    }

    [Fact]
    public async Task A_name_that_leads_out_of_the_directories_is_not_followed_but_told()
    {
        await MakeChainAsync("base", "top");
        string elsewhere = Directory.CreateDirectory(PathOf("elsewhere")).FullName;
        await MakeOverlayAsync("elsewhere/between", "../base");
        await MakeOverlayAsync("outside", "elsewhere/between");

        ChainPlan plan = await PlanCommitAsync("top", "base");
        ChainPlan wider = await PlanCommitAsync("top", "base", elsewhere);

        Assert.Empty(plan.Destroyed);
        UnjudgedFile unjudged = Assert.Single(plan.Unjudged);
        Assert.Equal(
            new UnjudgedFile(PathOf("outside"), $"It may read through the chain: its chain goes on in '{PathOf("elsewhere/between")}', outside the directories that were searched."),
            unjudged);
        Assert.Equal([PathOf("outside"), PathOf("elsewhere/between")], wider.Destroyed.Select(static image => image.Path));
        Assert.Empty(wider.Unjudged);
    }

    [Fact]
    public async Task Loops_damaged_headers_and_names_of_protocols_end_the_search()
    {
        await MakeChainAsync("base", "top");
        await MakeOverlayAsync("loop-a", "loop-b", verify: false);
        await MakeOverlayAsync("loop-b", "loop-a", verify: false);
        await MakeOverlayAsync("remote", "nbd://host/export", verify: false);
        await File.WriteAllBytesAsync(PathOf("damaged"), [.. "QFI\xfb"u8.ToArray().Take(3), 0xfb, 0, 0, 0, 3, 0xff]);
        await File.WriteAllBytesAsync(PathOf("notes"), "base"u8.ToArray());

        ChainPlan plan = await PlanCommitAsync("top", "base");

        Assert.Empty(plan.Destroyed);
        Assert.Equal(
            [new(PathOf("remote"), $"It may read through the chain: the backing file of '{PathOf("remote")}' is 'nbd://host/export', which is not a plain file name.")],
            plan.Unjudged);
    }

    [Fact]
    public async Task The_search_opens_nothing_that_a_header_names()
    {
        await MakeChainAsync("base", "top");
        Directory.CreateDirectory(PathOf("elsewhere"));
        await MakeOverlayAsync("elsewhere/secret", "../base");
        await MakeOverlayAsync("of-base", "base");
        await MakeOverlayAsync("curious", "elsewhere/secret");
        var files = new WatchedFiles(LocalStorageProvider.Instance);

        await using Disk disk = await Disk.OpenAsync(PathOf("top"), new DiskOptions { Environment = BlockEnvironment.Default with { Files = files } });
        await ChainPlanner.PlanCommitAsync(disk.Root, directories: [_folder.Path]);

        Assert.DoesNotContain(PathOf("elsewhere/secret"), files.Opened);
        Assert.Contains(PathOf("curious"), files.Opened);
    }

    [Fact]
    public async Task A_missing_directory_is_told()
    {
        await MakeChainAsync("base", "top");

        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => PlanCommitAsync("top", "base", PathOf("missing")));

        Assert.Equal((BlockErrorKind.NotFound, PathOf("missing")), (error.Kind, error.Path));
    }

    [Theory]
    [InlineData("base")]
    [InlineData(null)]
    public async Task A_pull_copies_what_its_plan_said(string? basis)
    {
        await MakeChainAsync("base", "middle", "top");
        await using Disk disk = await Disk.OpenAsync(PathOf("top"));

        var options = new StreamOptions { BaseName = basis is null ? null : PathOf(basis) };
        ChainPlan plan = await disk.PlanPullAsync(options);
        long before = await AllocatedAsync(disk.Chain[0]);
        StreamJob job = await disk.StartPullAsync(options);
        await job.Completion;

        Assert.Equal(await AllocatedAsync(disk.Chain[0]) - before, plan.CopiedBytes);
        Assert.True(plan.CopiedBytes > 0);
        Assert.Equal(basis is null ? [PathOf("middle"), PathOf("base")] : [PathOf("middle")], plan.Unneeded);
        Assert.Equal([PathOf("top"), .. basis is null ? [] : new[] { PathOf(basis) }], disk.Chain.Select(static image => image.Path!));
    }

    [Fact]
    public async Task The_files_a_rebase_makes_superfluous_are_named()
    {
        await MakeChainAsync("base", "middle", "top");
        await MakeOverlayAsync("other", "base");
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        await using BlockNode image = await opener.OpenAsync(PathOf("top"), new ImageOpenOptions());
        await using BlockNode other = await opener.OpenAsync(PathOf("other"), new ImageOpenOptions());

        ChainPlan onto = await ChainPlanner.PlanRebaseAsync(image, other);
        ChainPlan alone = await ChainPlanner.PlanRebaseAsync(image, backing: null);

        Assert.Equal([PathOf("middle")], onto.Unneeded);
        Assert.Equal([PathOf("middle"), PathOf("base")], alone.Unneeded);
        Assert.True(alone.CopiedBytes > onto.CopiedBytes, $"{alone.CopiedBytes} and {onto.CopiedBytes}");
    }

    private async Task<ChainPlan> PlanCommitAsync(string image, string basis, params string[] directories)
    {
        await using Disk disk = await Disk.OpenAsync(PathOf(image), new DiskOptions { Access = NodeAccess.ReadOnly });
        return await ChainPlanner.PlanCommitAsync(disk.Root, BackingChain.FindByPath(disk.Root, PathOf(basis)), directories: [_folder.Path, .. directories]);
    }

    private static async Task<long> AllocatedAsync(BlockNode image)
    {
        long allocated = 0;
        for (long at = 0; at < image.Length;)
        {
            BlockStatus status = await image.GetStatusAsync(at, image.Length - at, StatusDepth.Node);
            allocated += status.IsAllocated ? status.Length : 0;
            at += status.Length;
        }

        return allocated;
    }

    private string PathOf(string name) => _folder.File(name);

    // Each image holds something of its own.
    private async Task MakeChainAsync(params string[] names)
    {
        for (int i = 0; i < names.Length; i++)
        {
            await MakeOverlayAsync(names[i], i == 0 ? null : names[i - 1]);
            await using Disk disk = await Disk.OpenAsync(PathOf(names[i]));
            await disk.WriteAsync(i * 100_000, Pattern.Of(i * 100_000, 150_000, writer: i));
            await disk.WriteZeroesAsync(600_000 + (i * 70_000), 70_000);
        }
    }

    private async Task MakeOverlayAsync(string name, string? backing, bool verify = true)
    {
        var image = new NewImage
        {
            Format = "qcow2",
            Length = Length,
            Backing = backing is null ? null : new BackingReference(backing, "qcow2"),
            Options = new Dictionary<string, string> { ["cluster_size"] = "4096" },
            Verification = verify ? BackingVerification.Open : BackingVerification.None,
        };
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(PathOf(name), image, OpenPolicy.QemuCompatible);
    }
}
