using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>Questions about chains, with clusters of 512 bytes.</summary>
public class BackingChainTests
{
    private const int Cluster = 512;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_status_tells_who_decides_and_how_far_down()
    {
        (MemoryOverlayNode top, MemoryOverlayNode middle, MemoryOverlayNode bottom) = CreateChain();
        await using MemoryOverlayNode owned = top;
        top.Fill(0, new byte[Cluster]);
        middle.FillZero(Cluster, Cluster);
        bottom.Fill(2 * Cluster, new byte[Cluster]);

        AssertDecides(await StatusAsync(top, 0), top, depth: 0, isData: true, Cluster);
        AssertDecides(await StatusAsync(top, Cluster), middle, depth: 1, isData: false, Cluster);
        AssertDecides(await StatusAsync(top, 2 * Cluster), bottom, depth: 2, isData: true, Cluster);

        BlockStatus none = await StatusAsync(top, 3 * Cluster); // in no image, up to the end of the shortest
        Assert.Equal((StatusFlags.Zero, null, Cluster), (none.Flags, none.Provider, none.Length));
    }

    [Fact]
    public async Task Past_the_end_of_a_shorter_image_that_image_decides_zero()
    {
        (MemoryOverlayNode top, MemoryOverlayNode middle, MemoryOverlayNode bottom) = CreateChain();
        await using MemoryOverlayNode owned = top;
        bottom.Fill(0, new byte[4 * Cluster]);
        AssertDecides(await StatusAsync(top, 4 * Cluster), bottom, depth: 2, isData: false, 2 * Cluster); // the bottom ends at 4, the middle at 6
        AssertDecides(await StatusAsync(top, 6 * Cluster), middle, depth: 1, isData: false, 2 * Cluster);
    }

    [Fact]
    public async Task A_question_that_ends_above_the_chain_leaves_the_rest_undecided()
    {
        (MemoryOverlayNode top, MemoryOverlayNode middle, MemoryOverlayNode bottom) = CreateChain();
        await using MemoryOverlayNode owned = top;
        bottom.Fill(0, new byte[Cluster]);
        BlockStatus status = await BackingChain.GetStatusAsync(top, middle, 0, 8 * Cluster);
        Assert.Equal((StatusFlags.None, null), (status.Flags, status.Provider));
        status = await BackingChain.GetStatusAsync(top, top, 0, 8 * Cluster);
        Assert.Equal((StatusFlags.None, null), (status.Flags, status.Provider));
        AssertDecides(await BackingChain.GetStatusAsync(top, bottom, 0, 8 * Cluster), bottom, depth: 2, isData: true, Cluster);
    }

    [Fact]
    public async Task A_question_to_a_chain_counts_as_a_request_to_its_top()
    {
        ScriptedNode backing = await ScriptedNode.CreateAsync(_environment, 8 * Cluster);
        await using var top = new MemoryOverlayNode("top", 8 * Cluster, Cluster, _environment, backing);
        TaskCompletionSource hold = backing.Script.Hold("status");
        Task<BlockStatus> question = BackingChain.GetStatusAsync(top, backing, 0, Cluster).AsTask();
        Task<DrainScope> drain = DrainScope.BeginAsync(top).AsTask();
        Assert.False(drain.IsCompleted);
        hold.SetResult();
        (await drain).Dispose();
        Assert.Same(backing, (await question).Provider);
    }

    [Fact]
    public async Task The_images_of_a_chain_are_named_from_the_top_without_filters()
    {
        (MemoryOverlayNode top, MemoryOverlayNode middle, MemoryOverlayNode bottom) = CreateChain();
        await using var filter = new PassThroughNode(top, ImagePermissions.ConsistentRead, ImagePermissions.All);
        Assert.Equal([top, middle, bottom], BackingChain.Images(filter));
        Assert.Equal(2, BackingChain.Depth(filter));
        Assert.Same(top, BackingChain.OverlayOf(filter, middle));
        Assert.Same(middle, BackingChain.OverlayOf(filter, bottom));
        Assert.Null(BackingChain.OverlayOf(filter, top));
        Assert.True(BackingChain.IsBelow(filter, bottom));
        Assert.False(BackingChain.IsBelow(bottom, top));
        Assert.False(BackingChain.IsBelow(top, top));
    }

    [Fact]
    public async Task An_image_is_found_by_any_name_of_its_file()
    {
        ScriptedNode file = await ScriptedNode.CreateAsync(_environment, 512, name: "folder/disk");
        await using var named = new StorageNode(await _environment.Files.OpenAsync("folder/disk", new StorageOpenOptions(), default), _environment);
        Assert.Same(named, BackingChain.FindByPath(named, "folder/disk"));
        Assert.Same(named, BackingChain.FindByPath(named, "/folder/./disk"));
        BlockLayerException missing = Assert.Throws<BlockLayerException>(() => BackingChain.FindByPath(named, "folder/other"));
        Assert.Equal(BlockErrorKind.NotFound, missing.Kind);
        Assert.Equal("'folder/other' is not in the backing chain folder/disk.", missing.Message);
        await file.DisposeAsync();
    }

    private static ValueTask<BlockStatus> StatusAsync(BlockNode top, long offset)
        => top.GetStatusAsync(offset, Math.Min(2 * Cluster, top.Length - offset), StatusDepth.Chain);

    private static void AssertDecides(BlockStatus status, BlockNode provider, int depth, bool isData, long length)
    {
        Assert.Same(provider, status.Provider);
        Assert.Equal((depth, isData, !isData, true, length), (status.Depth, status.IsData, status.IsZero, status.IsAllocated, status.Length));
    }

    // top (8 clusters) <- middle (6) <- bottom (4)
    private (MemoryOverlayNode Top, MemoryOverlayNode Middle, MemoryOverlayNode Bottom) CreateChain()
    {
        var bottom = new MemoryOverlayNode("bottom", 4 * Cluster, Cluster, _environment);
        var middle = new MemoryOverlayNode("middle", 6 * Cluster, Cluster, _environment, bottom);
        return (new MemoryOverlayNode("top", 8 * Cluster, Cluster, _environment, middle), middle, bottom);
    }
}
