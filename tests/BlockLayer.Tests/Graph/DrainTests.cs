using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

public class DrainTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_drain_waits_for_what_is_inside()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, 10_000);
        TaskCompletionSource hold = node.Script.Hold("write");
        Task write = node.WriteAsync(0, new byte[10]).AsTask();
        Task<DrainScope> drain = DrainScope.BeginAsync(node).AsTask();
        Assert.False(drain.IsCompleted);

        hold.SetResult();

        (await drain).Dispose();
        await write;
    }

    [Fact]
    public async Task A_drain_of_a_child_closes_the_doors_above_and_lets_requests_inside_finish()
    {
        ScriptedNode child = await ScriptedNode.CreateAsync(_environment, 10_000);
        await using var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All);
        TaskCompletionSource hold = child.Script.Hold("write");
        Task inside = parent.WriteAsync(0, new byte[10], WriteFlags.Fua).AsTask(); // has a flush of the child still to issue
        Task<DrainScope> drain = DrainScope.BeginAsync(child).AsTask();
        Task late = parent.ReadAsync(0, new byte[10]).AsTask();
        Task lateBelow = child.ReadAsync(0, new byte[10]).AsTask();

        hold.SetResult();
        DrainScope drained = await drain;

        await inside;
        Assert.Equal(["write", "flush"], child.Script.Calls.Select(call => call.Operation));
        Assert.False(late.IsCompleted);
        Assert.False(lateBelow.IsCompleted);
        drained.Dispose();
        await Task.WhenAll(late, lateBelow);
    }

    [Fact]
    public async Task Requests_that_come_during_a_drain_are_served_in_order_afterwards()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, 10_000);
        DrainScope outer = await DrainScope.BeginAsync(node);
        DrainScope inner = await DrainScope.BeginAsync(node);
        Task[] waiting = [.. Enumerable.Range(0, 20).Select(i => node.WriteAsync(i, new byte[1]).AsTask())];

        inner.Dispose();
        Assert.Empty(node.Script.Calls); // drains nest
        outer.Dispose();

        await Task.WhenAll(waiting);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (long)i), node.Script.Calls.Select(call => call.Offset));
    }

    [Fact]
    public async Task A_request_that_waits_at_the_door_can_be_cancelled()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, 10_000);
        using var cancellation = new CancellationTokenSource();
        using (await DrainScope.BeginAsync(node))
        {
            Task waiting = node.WriteAsync(0, new byte[1], WriteFlags.None, cancellation.Token).AsTask();
            cancellation.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        }

        Assert.Empty(node.Script.Calls);
        Assert.True(node.Gate.IsIdle);
    }

    [Fact]
    public async Task Two_drains_of_overlapping_parts_end_independently()
    {
        ScriptedNode child = await ScriptedNode.CreateAsync(_environment, 10_000);
        await using var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead, ImagePermissions.All);
        DrainScope all = await DrainScope.BeginAsync(child);
        DrainScope top = await DrainScope.BeginAsync(parent);
        Task throughTop = parent.ReadAsync(0, new byte[1]).AsTask();
        Task below = child.ReadAsync(0, new byte[1]).AsTask();

        all.Dispose();
        await below;
        Assert.False(throughTop.IsCompleted);
        top.Dispose();
        await throughTop;
    }

    [Fact]
    public async Task Only_one_change_of_the_graph_runs_at_a_time()
    {
        await using ScriptedNode first = await ScriptedNode.CreateAsync(_environment, 10_000, name: "first");
        await using ScriptedNode second = await ScriptedNode.CreateAsync(_environment, 10_000, name: "second");
        GraphChange change = await GraphChange.BeginAsync(first, default);
        Task<GraphChange> other = GraphChange.BeginAsync(second, default).AsTask();
        Assert.False(other.IsCompleted);
        await second.ReadAsync(0, new byte[1]); // whose turn has not come drains nothing yet
        change.Dispose();
        (await other).Dispose();
    }

    // A guest that is resumed may block its thread on a change of its own, so the change that held it back must be over by then.
    [Fact]
    public async Task Guests_are_resumed_when_the_change_that_held_them_back_is_over()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, 10_000);
        GraphChange change = await GraphChange.BeginAsync(node, default);
        bool? held = null;
        Task guest = ReadAsync();
        change.Dispose();
        await guest;
        Assert.Equal(false, held);

        async Task ReadAsync()
        {
            await node.ReadAsync(0, new byte[1]);
            held = _environment.GraphLock.IsHeld;
        }
    }

    [Fact]
    public async Task A_resize_waits_for_requests_and_later_ones_see_the_new_length()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, 10_000);
        TaskCompletionSource hold = node.Script.Hold("read");
        Task read = node.ReadAsync(9_999, new byte[1]).AsTask();
        Task resize = node.ResizeAsync(5_000, new ResizeOptions { AllowShrink = true }).AsTask();
        Task late = node.WriteAsync(9_999, new byte[1]).AsTask(); // in bounds when it came
        Assert.False(resize.IsCompleted);

        hold.SetResult();

        await Task.WhenAll(read, resize);
        Assert.Equal(5_000, node.Length);
        Errors.BlockLayerException outside = await Assert.ThrowsAsync<Errors.BlockLayerException>(() => late);
        Assert.Equal(Errors.BlockErrorKind.OutOfRange, outside.Kind);
        Assert.Equal(0, node.Script.Count("write"));
    }

    // Threads read and write through a parent while the child is drained again and again. Inside a drain nothing may reach the driver.
    [Fact]
    public async Task Nothing_reaches_the_driver_inside_a_drain_under_four_threads()
    {
        const int Drains = 300;
        ScriptedNode child = Finish(ScriptedNode.CreateAsync(_environment, 10_000));
        var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All);
        bool done = false;
        Thread[] guests = [.. Enumerable.Range(0, 4).Select(i => new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                (i % 2 == 0 ? parent.ReadAsync(i, new byte[1]) : parent.WriteAsync(i, new byte[1])).AsTask().Wait();
            }
        }))];
        Array.ForEach(guests, guest => guest.Start());
        for (int i = 0; i < Drains; i++)
        {
            using (Finish(DrainScope.BeginAsync(child)))
            {
                child.Script.Clear();
                Thread.Yield();
                Assert.Empty(child.Script.Calls);
            }
        }

        Volatile.Write(ref done, true);
        Array.ForEach(guests, guest => guest.Join());
        Assert.True(child.Gate.IsIdle);
        await parent.DisposeAsync();

        static T Finish<T>(ValueTask<T> task) => task.AsTask().Result;
    }
}
