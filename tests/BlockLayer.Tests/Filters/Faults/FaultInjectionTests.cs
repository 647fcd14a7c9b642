using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
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

    // Twelve writes one after the other; an x is one that fails.
    [Theory]
    [InlineData("write,error=io", "xxxxxxxxxxxx")]
    [InlineData("write,once,error=io", "x...........")]
    [InlineData("write,first=5,error=io", "....xxxxxxxx")]
    [InlineData("write,first=5,once,error=io", "....x.......")]
    [InlineData("write,first=2,every=3,error=io", ".x..x..x..x.")]
    [InlineData("write,first=2,every=3,count=2,error=io", ".x..x.......")]
    [InlineData("write,count=0,error=io", "............")]
    [InlineData("read,error=io", "............")]
    [InlineData("write,range=4K+512,error=io", "........x...")] // the ninth touches it
    [InlineData("write,range=4095+1,error=io", ".......x....")]
    [InlineData("write,first=3,next-state=2;write,state=2,error=io", "...xxxxxxxxx")]
    [InlineData("write,state=1,next-state=2,error=io;write,state=2,next-state=1", "x.x.x.x.x.x.")]
    [InlineData("write,once,keep=9;write,count=2,error=io", ".x..........")] // the first rule decides the first write, and the second counts it
    [InlineData("write,state=7,error=io", "............")]
    public async Task Rules_choose_operations_by_count_range_and_state(string rules, string outcome)
    {
        await using var node = NewNode(NodeFault.ParseAll(rules));
        string found = "";
        for (int i = 0; i < outcome.Length; i++)
        {
            found += await FailsAsync(() => node.WriteAsync(i * 512, new byte[512])) ? 'x' : '.';
        }

        Assert.Equal(outcome, found);
    }

    // Bytes 700 to 4700 are changed; what is stored ends at a sector of the disk.
    [Theory]
    [InlineData("write", 0, 0)]
    [InlineData("write", 1, 1024)]
    [InlineData("write", 3, 2048)]
    [InlineData("write", 100, 4700)]
    [InlineData("writezeroes", 2, 1536)]
    [InlineData("populate", 9, 4096)] // whole clusters
    public async Task A_torn_change_stores_its_first_sectors_and_then_fails_or_succeeds(string operation, int kept, int end)
    {
        foreach (string outcome in new[] { "", ",error=io" })
        {
            await using var node = NewNode(NodeFault.ParseAll($"{operation},keep={kept}{outcome}"));
            byte[] expected = new byte[16384];
            bool failed;
            if (operation == "populate")
            {
                failed = await FailsAsync(() => node.PopulateAsync(0, Pattern.Of(0, 8192, 1)));
                Pattern.Fill(expected.AsSpan(0, end), 0, 1);
            }
            else if (operation == "writezeroes")
            {
                await node.WriteAsync(0, Pattern.Of(0, 16384, 1));
                Pattern.Fill(expected, 0, 1);
                failed = await FailsAsync(() => node.WriteZeroesAsync(700, 4000));
                expected.AsSpan(700, end - 700).Clear();
            }
            else
            {
                failed = await FailsAsync(() => node.WriteAsync(700, Pattern.Of(700, 4000, 1)));
                Pattern.Fill(expected.AsSpan(700, Math.Max(0, end - 700)), 700, 1);
            }

            Assert.Equal(outcome.Length > 0, failed);
            byte[] found = new byte[16384];
            await node.ReadAsync(0, found);
            Assert.Equal(expected, found);
        }
    }

    [Fact]
    public async Task A_flush_that_keeps_nothing_lies()
    {
        await using var node = NewNode(NodeFault.ParseAll("flush,once,keep=0"));
        var image = (MemoryOverlayNode)node.SkipFilters();
        await node.WriteAsync(0, new byte[1]);
        await node.FlushAsync();
        Assert.True(image.IsDirty);
        await node.FlushAsync();
        Assert.False(image.IsDirty);
    }

    [Fact]
    public async Task Events_of_a_nodes_life_fail_as_planned()
    {
        NodeFault[] faults = [.. NodeFault.ParseAll("resize,once,error=nospace;close,error=io;recordbacking,once,error=io,next-state=2")];
        FaultInjectionNode node = NewNode(faults);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.ResizeAsync(2 << 20));
        Assert.Equal((BlockErrorKind.NoSpace, 1L << 20), (error.Kind, node.Length));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.RecordBackingAsync(null, CancellationToken.None));
        Assert.Equal(2, node.State);
        await node.RecordBackingAsync(null, CancellationToken.None);
        Assert.Equal([1, 0, 1], faults.Select(node.CountHits));
        error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.DisposeAsync());
        Assert.Equal("A planned Io failure of Close on 'disk'.", error.Message);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await node.SkipFilters().ReadAsync(0, new byte[1])); // what lies below is closed all the same
    }

    [Fact]
    public async Task The_state_can_be_set_by_hand()
    {
        await using var node = NewNode(NodeFault.ParseAll("read,state=5,error=io"));
        await node.ReadAsync(0, new byte[1]);
        node.State = 5;
        Assert.True(await FailsAsync(() => node.ReadAsync(0, new byte[1])));
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

    private static FaultInjectionNode NewNode(IReadOnlyList<NodeFault> faults)
        => new(new MemoryOverlayNode("disk", 1 << 20, 4096, TestEnvironment.Inline()), faults);

    private static async Task<bool> FailsAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return false;
        }
        catch (BlockLayerException error) when (error.Message.StartsWith("A planned", StringComparison.Ordinal))
        {
            return true;
        }
    }
}
