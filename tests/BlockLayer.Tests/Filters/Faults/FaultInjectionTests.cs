using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class FaultInjectionTests
{
    [Fact]
    public async Task Only_the_planned_requests_fail_and_they_change_nothing()
    {
        await using var node = new FaultInjectionNode(
            new MemoryOverlayNode("disk", 1 << 20, 4096, TestEnvironment.Inline()),
            new NodeFault { Operations = NodeOperations.Write, Range = new ByteRange(4096, 4096), First = 2, Count = 1, Error = BlockErrorKind.NoSpace });
        byte[] ones = [1, 1, 1, 1];
        await node.WriteAsync(0, ones);
        await node.WriteAsync(4096, ones);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(8190, new byte[] { 9, 9, 9 }));
        Assert.Equal((BlockErrorKind.NoSpace, 8190L), (error.Kind, error.Offset));
        Assert.Equal("A planned NoSpace failure of Write on 'disk'.", error.Message);
        byte[] found = new byte[3];
        await node.ReadAsync(8190, found);
        Assert.Equal(new byte[3], found);
        await node.WriteAsync(8190, new byte[] { 9, 9, 9 });
        await node.ReadAsync(8190, found);
        Assert.Equal([9, 9, 9], found);
    }

    [Theory]
    [InlineData(NodeOperations.Read)]
    [InlineData(NodeOperations.WriteZeroes)]
    [InlineData(NodeOperations.Discard)]
    [InlineData(NodeOperations.Flush)]
    [InlineData(NodeOperations.Populate)]
    [InlineData(NodeOperations.Status)]
    public async Task Every_operation_can_be_made_to_fail_alone(NodeOperations operation)
    {
        await using var node = new FaultInjectionNode(
            new MemoryOverlayNode("disk", 1 << 20, 4096, TestEnvironment.Inline()),
            new NodeFault { Operations = operation, Error = BlockErrorKind.Io });
        var failed = new List<NodeOperations>();
        await TryAsync(NodeOperations.Read, () => node.ReadAsync(0, new byte[10]));
        await TryAsync(NodeOperations.Write, () => node.WriteAsync(0, new byte[10]));
        await TryAsync(NodeOperations.WriteZeroes, () => node.WriteZeroesAsync(0, 4096));
        await TryAsync(NodeOperations.Discard, () => node.DiscardAsync(0, 4096));
        await TryAsync(NodeOperations.Flush, () => node.FlushAsync());
        await TryAsync(NodeOperations.Populate, () => node.PopulateAsync(0, new byte[4096]));
        await TryAsync(NodeOperations.Populate, () => node.PopulateZeroesAsync(0, 4096));
        await TryAsync(NodeOperations.Status, async () => await node.GetStatusAsync(0, 10, StatusDepth.Node));
        Assert.Equal([operation], failed.Distinct());

        async Task TryAsync(NodeOperations tried, Func<ValueTask> request)
        {
            try
            {
                await request();
            }
            catch (BlockLayerException)
            {
                failed.Add(tried);
            }
        }
    }

    [Fact]
    public void A_delayed_request_takes_virtual_time_and_can_be_cancelled()
    {
        var scheduler = new SimulationScheduler(1);
        using var impatience = new CancellationTokenSource();
        scheduler.Run(async () =>
        {
            await using var node = new FaultInjectionNode(
                new MemoryOverlayNode("disk", 1 << 20, 4096, TestEnvironment.Of(scheduler)),
                new NodeFault { Operations = NodeOperations.Read, Latency = TimeSpan.FromSeconds(2) });
            await node.ReadAsync(0, new byte[1]);
            Assert.Equal(TimeSpan.FromSeconds(2), scheduler.Elapsed);
            Task cancelled = node.ReadAsync(0, new byte[1], ReadFlags.None, impatience.Token).AsTask();
            impatience.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
            node.Clear();
            await node.ReadAsync(0, new byte[1]);
        });
        Assert.Equal(TimeSpan.FromSeconds(2), scheduler.Elapsed);
    }
}
