using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

public class PermissionTests
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;
    private const ImagePermissions Writes = Reads | ImagePermissions.Write;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_replacement_that_is_refused_leaves_the_edge_as_it_was()
    {
        ScriptedNode old = await CreateAsync("old");
        ScriptedNode taken = await CreateAsync("taken");
        await using var owner = new PassThroughNode(taken, Reads, Reads);
        await using var parent = new PassThroughNode(old, Writes, Reads);

        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => parent.Refilter(taken));

        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
        Assert.Equal(
            "'pass-through of old' needs Write on 'taken', which 'pass-through of taken' uses as its Filtered child and does not share.", refused.Message);
        Assert.Same(old, parent.Filtered.Child);
        Assert.Equal(parent.Filtered, Assert.Single(old.Parents));
        Assert.Equal(owner.Filtered, Assert.Single(taken.Parents));
        await parent.WriteAsync(0, new byte[1]);
        Assert.Equal(1, old.Script.Count("write"));
        await AssertConflictAsync(() => old.WriteAsync(0, new byte[1])); // the door is as it was
    }

    [Fact]
    public async Task A_replacement_moves_the_edge_and_hands_the_old_child_over()
    {
        ScriptedNode old = await CreateAsync("old");
        ScriptedNode fresh = await CreateAsync("fresh");
        await using var parent = new PassThroughNode(old, Writes, Reads);

        Assert.Same(old, parent.Refilter(fresh));

        Assert.Empty(old.Parents);
        await old.WriteAsync(0, new byte[1]);
        await AssertConflictAsync(() => fresh.WriteAsync(0, new byte[1]));
        await old.DisposeAsync();
    }

    [Fact]
    public async Task A_frozen_edge_is_neither_replaced_nor_removed()
    {
        ScriptedNode child = await CreateAsync("child");
        await using ScriptedNode other = await CreateAsync("other");
        await using var parent = new PassThroughNode(child, Reads, ImagePermissions.All);
        BlockEdge.Freeze first = parent.Filtered.FreezeFor("job 'a'");
        BlockEdge.Freeze second = parent.Filtered.FreezeFor("job 'b'");
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => parent.ReplaceChild(parent.Filtered, other));
        Assert.Equal("The Filtered link from 'pass-through of child' to 'child' cannot change: job 'a' uses it.", refused.Message);
        await AssertConflictAsync(() => parent.DetachAsync(parent.Filtered));

        first.Dispose();
        first.Dispose();
        refused = Assert.Throws<BlockLayerException>(() => parent.ReplaceChild(parent.Filtered, other));
        Assert.Equal("The Filtered link from 'pass-through of child' to 'child' cannot change: job 'b' uses it.", refused.Message);

        second.Dispose();
        parent.ThrowIfCannotReplaceChild(parent.Filtered, other);
        Assert.Same(child, parent.Filtered.Child);
    }

    [Fact]
    public async Task Permissions_change_only_when_the_other_parents_agree()
    {
        ScriptedNode child = await CreateAsync("child");
        child.AddReference();
        await using var reader = new PassThroughNode(child, Reads, Reads);
        await using var other = new PassThroughNode(child, Reads, ImagePermissions.All);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => other.ChangePermissions(other.Filtered, Writes, ImagePermissions.All));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
        Assert.Equal(Reads, other.Filtered.Needs);

        reader.ChangePermissions(reader.Filtered, Reads, ImagePermissions.All);
        other.ChangePermissions(other.Filtered, Writes, Reads);
        Assert.Equal(Writes, other.Filtered.Needs);
        await AssertConflictAsync(() => child.WriteAsync(0, new byte[1]));
    }

    [Fact]
    public async Task A_read_only_node_takes_no_parent_that_writes()
    {
        MemoryOverlayNode image = new("image", 4096, 512, _environment, access: NodeAccess.ReadOnly);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => new PassThroughNode(image, Writes, ImagePermissions.All));
        Assert.Equal(BlockErrorKind.ReadOnly, refused.Kind);
        await image.DisposeAsync();
    }

    [Fact]
    public async Task A_refused_resize_names_the_parent_that_refuses_it()
    {
        ScriptedNode child = await CreateAsync("child");
        await using var parent = new PassThroughNode(child, Reads, ImagePermissions.All & ~ImagePermissions.Resize);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await child.ResizeAsync(100_000));
        Assert.Equal("'child' cannot be resized: 'pass-through of child' uses it as its Filtered child.", refused.Message);
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    [Fact]
    public async Task Writes_that_change_nothing_need_less_than_others()
    {
        ScriptedNode child = await CreateAsync("child");
        await using var parent = new PassThroughNode(child, Reads, Reads | ImagePermissions.WriteUnchanged);
        await AssertConflictAsync(() => child.WriteAsync(0, new byte[1]));
        await child.WriteAsync(0, new byte[1], WriteFlags.Unchanged);
        parent.ChangePermissions(parent.Filtered, Reads, Reads);
        await AssertConflictAsync(() => child.WriteAsync(0, new byte[1], WriteFlags.Unchanged));
    }

    // Permissions that never allowed a write from outside are changed back and forth; at no moment does one slip through.
    [Fact]
    public async Task A_change_of_permissions_leaves_no_moment_in_which_more_is_allowed()
    {
        ScriptedNode child = await CreateAsync("child");
        var parent = new PassThroughNode(child, Writes, Reads);
        bool done = false;
        long slipped = 0;
        Thread[] outsiders = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                if (child.WriteAsync(0, new byte[1]).AsTask().ContinueWith(write => write.IsCompletedSuccessfully, TaskScheduler.Default).Result)
                {
                    Interlocked.Increment(ref slipped);
                }
            }
        }))];
        Array.ForEach(outsiders, outsider => outsider.Start());
        for (int i = 0; i < 20_000; i++)
        {
            parent.ChangePermissions(parent.Filtered, Writes, (i & 1) == 0 ? Reads | ImagePermissions.WriteUnchanged : Reads);
            parent.ThrowIfCannotReplaceChild(parent.Filtered, child);
        }

        Volatile.Write(ref done, true);
        Array.ForEach(outsiders, outsider => outsider.Join());
        Assert.Equal(0, slipped);
        await parent.DisposeAsync();
    }

    private static async Task AssertConflictAsync(Func<ValueTask> action)
    {
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await action());
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    private ValueTask<ScriptedNode> CreateAsync(string name) => ScriptedNode.CreateAsync(_environment, 10_000, name: name);
}
