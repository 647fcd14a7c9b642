using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

public class FilterTests
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;
    private const ImagePermissions Guest = Reads | ImagePermissions.Write | ImagePermissions.Resize;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task Filters_show_the_new_length_whoever_resized_the_node_below()
    {
        ScriptedNode image = await CreateAsync();
        var middle = new PassThroughNode(image, Guest, ImagePermissions.All);
        await using var top = new PassThroughNode(middle, Guest, ImagePermissions.All);

        await image.ResizeAsync(20_000);
        Assert.Equal((20_000, 20_000), (middle.Length, top.Length));

        await middle.ResizeAsync(30_000);
        Assert.Equal((30_000, 30_000), (image.Length, top.Length));

        await top.ResizeAsync(15_000, new ResizeOptions { AllowShrink = true });
        Assert.Equal((15_000, 15_000, 15_000), (image.Length, middle.Length, top.Length));
        await top.ReadAsync(14_999, new byte[1]);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await top.ReadAsync(15_000, new byte[1]));
    }

    [Fact]
    public async Task A_filter_is_put_below_a_running_guest_and_taken_out_again()
    {
        ScriptedNode image = await CreateAsync();
        await using var root = new RootNode(image);
        TaskCompletionSource hold = image.Script.Hold("write");
        Task inFlight = root.WriteAsync(0, Pattern.Of(0, 512, 1)).AsTask();
        image.AddReference();
        var filter = new PassThroughNode(image, Reads, ImagePermissions.All);
        Task<GraphChange> beginning = GraphChange.BeginAsync(image, default).AsTask();
        Task late = root.WriteAsync(512, Pattern.Of(512, 512, 2)).AsTask();
        Assert.False(beginning.IsCompleted);
        hold.SetResult();
        using (GraphChange change = await beginning)
        {
            await FilterInsertion.InsertAsync(change, image, filter, Reads, Reads | ImagePermissions.WriteUnchanged);
            Assert.Same(filter, root.Filtered.Child);
            Assert.Equal(filter.Filtered, Assert.Single(image.Parents));
            Assert.Equal(Guest, filter.Filtered.Needs); // what the guest needed goes through the filter now
            Assert.False(late.IsCompleted);
        }

        await Task.WhenAll(inFlight, late);
        await AssertConflictAsync(() => image.WriteAsync(0, new byte[1]));
        using (GraphChange change = await GraphChange.BeginAsync(filter, default))
        {
            await FilterInsertion.RemoveAsync(filter);
            Assert.Same(image, root.Filtered.Child);
        }

        await filter.DisposeAsync();
        Assert.Equal(root.Filtered, Assert.Single(image.Parents));
        byte[] found = new byte[1024];
        await root.ReadAsync(0, found);
        Assert.Equal([.. Pattern.Of(0, 512, 1), .. Pattern.Of(512, 512, 2)], found);
    }

    [Fact]
    public async Task Neither_insertion_nor_removal_passes_a_frozen_link()
    {
        ScriptedNode image = await CreateAsync();
        await using var root = new RootNode(image);
        image.AddReference();
        await using var filter = new PassThroughNode(image, Reads, ImagePermissions.All);
        BlockEdge.Freeze freeze = root.Filtered.FreezeFor("a job");
        using (GraphChange change = await GraphChange.BeginAsync(image, default))
        {
            await AssertConflictAsync(() => FilterInsertion.InsertAsync(change, image, filter, Reads, ImagePermissions.All));
            Assert.Same(image, root.Filtered.Child);
            freeze.Dispose();
            await FilterInsertion.InsertAsync(change, image, filter, Reads, ImagePermissions.All);
        }

        freeze = root.Filtered.FreezeFor("a job");
        using (GraphChange change = await GraphChange.BeginAsync(filter, default))
        {
            await AssertConflictAsync(() => FilterInsertion.RemoveAsync(filter));
            Assert.Same(filter, root.Filtered.Child);
        }

        await root.WriteAsync(0, new byte[1]); // the filter still holds what the guest needs
        freeze.Dispose();
    }

    [Fact]
    public async Task A_filter_passes_everything_on()
    {
        ScriptedNode image = await CreateAsync();
        await using var filter = new PassThroughNode(image, Guest, ImagePermissions.All);
        await filter.ReadAsync(1, new byte[2]);
        await filter.WriteAsync(3, new byte[4]);
        await filter.DiscardAsync(5, 6);
        await filter.FlushAsync();
        BlockStatus status = await filter.GetStatusAsync(7, 8, StatusDepth.Chain);
        Assert.Equal([new("read", 1, 2), new("write", 3, 4), new("discard", 5, 6), new("flush"), new("status", 7, 8)], image.Script.Calls);
        Assert.Same(image, status.Provider);
        Assert.Same(image, filter.SkipFilters());
        Assert.Equal(image.Path, filter.Path);
        Assert.Equal(image.Length, filter.Length);
    }

    private static async Task AssertConflictAsync(Func<ValueTask> action)
    {
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await action());
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    private ValueTask<ScriptedNode> CreateAsync() => ScriptedNode.CreateAsync(_environment, 10_000);
}
