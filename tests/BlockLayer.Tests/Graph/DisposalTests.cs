using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using BlockLayer.Tests.Images.Hostile;
using Xunit;

namespace BlockLayer.Tests.Graph;

public class DisposalTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task The_last_owner_closes_the_node_and_lets_its_children_go()
    {
        ScriptedNode child = await CreateAsync("child");
        child.AddReference();
        var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead, ImagePermissions.All);
        await parent.DisposeAsync();
        Assert.Equal(0, child.Script.Count("close"));
        Assert.Empty(child.Parents);
        await child.ReadAsync(0, new byte[1]);
        await child.DisposeAsync();
        Assert.Equal(1, child.Script.Count("close"));
    }

    [Fact]
    public async Task Letting_a_closed_node_go_again_does_nothing()
    {
        ScriptedNode node = await CreateAsync("node");
        await node.DisposeAsync();
        await node.DisposeAsync();
        Assert.Equal(1, node.Script.Count("close"));
    }

    [Fact]
    [CorpusCase("5 dispose while requests run")]
    public async Task Closing_waits_for_requests_and_refuses_those_that_come()
    {
        ScriptedNode node = await CreateAsync("node");
        TaskCompletionSource hold = node.Script.Hold("read");
        Task read = node.ReadAsync(0, new byte[1]).AsTask();
        Task closing = node.DisposeAsync().AsTask();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await node.ReadAsync(0, new byte[1]));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await node.ResizeAsync(20_000));
        Assert.Equal(0, node.Script.Count("close"));
        hold.SetResult();
        await Task.WhenAll(read, closing);
        Assert.Equal(1, node.Script.Count("close"));
    }

    [Fact]
    public async Task A_request_that_waits_at_the_door_of_a_closed_node_is_refused()
    {
        ScriptedNode node = await CreateAsync("node");
        Task waiting;
        using (await DrainScope.BeginAsync(node))
        {
            waiting = node.ReadAsync(0, new byte[1]).AsTask();
            await node.DisposeAsync();
        }

        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
    }

    [Fact]
    public async Task Children_are_let_go_although_one_of_them_fails_and_the_first_failure_is_told()
    {
        ScriptedNode failing = await CreateAsync("failing");
        ScriptedNode backing = await CreateAsync("backing");
        failing.Script.Fail("close", new BlockLayerException(BlockErrorKind.NoSpace, "first"));
        backing.Script.Fail("close", new BlockLayerException(BlockErrorKind.Io, "second"));
        var parent = new PassThroughNode(failing, ImagePermissions.ConsistentRead, ImagePermissions.All);
        parent.AttachBacking(backing);
        using BlockEdge.Freeze freeze = parent.Filtered.FreezeFor("a job that forgot to let go");

        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await parent.DisposeAsync());

        Assert.Equal("first", error.Message);
        Assert.Equal(1, backing.Script.Count("close"));
        Assert.Empty(failing.Parents);
        Assert.Empty(backing.Parents);
    }

    private ValueTask<ScriptedNode> CreateAsync(string name) => ScriptedNode.CreateAsync(_environment, 10_000, name: name);
}
