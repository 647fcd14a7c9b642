using BlockLayer.Formats.Qed;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>What an allocated cluster costs: with the table in memory a request takes no lock, completes before it returns and allocates nothing.</summary>
public sealed class QedHotPathTests
{
    private readonly QedWorld _world = new();

    [Fact]
    public async Task Reads_and_overwrites_of_allocated_clusters_are_synchronous_and_allocate_nothing()
    {
        await _world.CreateAsync("/disk.qed", new QedCreateOptions { Length = 64 << 20 });
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(0, Pattern.Of(0, 4 << 20, writer: 1));
        await node.WriteZeroesAsync(8 << 20, 4 << 20);
        byte[] buffer = new byte[4096];
        Run(node, buffer); // warm up
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(node, buffer);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public async Task A_hot_request_does_not_need_the_mapping_lock()
    {
        await _world.CreateAsync("/disk.qed", new QedCreateOptions { Length = 64 << 20 });
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(0, Pattern.Of(0, 65536, writer: 1));
        using var held = new ManualResetEventSlim();
        using var done = new ManualResetEventSlim();
        Task holder = Task.Run(() =>
        {
            lock (node.MappingLock)
            {
                held.Set();
                done.Wait();
            }
        });
        held.Wait();
        Run(node, new byte[4096], step: 0);
        done.Set();
        await holder;
    }

    private static void Run(QedNode node, byte[] buffer, int step = 4096)
    {
        for (int i = 0; i < 500; i++)
        {
            ValueTask read = node.ReadAsync(i * step, buffer);
            Assert.True(read.IsCompletedSuccessfully);
            read.GetAwaiter().GetResult();
            ValueTask write = node.WriteAsync(i * step, buffer);
            Assert.True(write.IsCompletedSuccessfully);
            write.GetAwaiter().GetResult();
            ValueTask zero = node.ReadAsync((8 << 20) + (i * step), buffer);
            Assert.True(zero.IsCompletedSuccessfully);
            zero.GetAwaiter().GetResult();
        }
    }
}
