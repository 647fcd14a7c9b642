using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>The lookups without a lock, on real threads: tables come and go under requests that use them.</summary>
public sealed class QedStressTests
{
    private const int Threads = 4;
    private const int Rounds = 3000;
    private const int Cluster = QedWorld.Cluster;
    private const long Reach = 4 << 20; // guest bytes a table maps
    private const int Tables = 12;
    private const int Clusters = 6; // used in each table

    private readonly QedWorld _world = new();

    [Fact]
    public async Task Each_thread_reads_what_it_wrote_while_others_allocate_evict_and_flush()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(Tables * Reach));
        await using (QedNode node = await _world.OpenAsync("/disk.qed", cacheLength: 1))
        {
            await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() => RunAsync(node, thread))));
            ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
            Assert.Equal((0L, 0L), (check.Corruptions, check.Leaks));
        }
    }

    // Every cluster has two sectors of every thread, so threads meet in clusters and never in sectors.
    private static async Task RunAsync(QedNode node, int thread)
    {
        var random = new Random(thread);
        var written = new Dictionary<long, long>();
        byte[] sector = new byte[512];
        for (int round = 1; round <= Rounds; round++)
        {
            int slot = (random.Next(2) * Threads) + thread;
            long offset = (random.Next(Tables) * Reach) + (random.Next(Clusters) * Cluster) + (slot * 512);
            if (random.Next(3) == 0)
            {
                long stamp = (round * Threads) + thread;
                GuestStamp.Fill(sector, offset, stamp);
                await node.WriteAsync(offset, sector);
                written[offset] = stamp;
            }
            else
            {
                await node.ReadAsync(offset, sector);
                byte[] expected = written.TryGetValue(offset, out long stamp) ? GuestStamp.Create(offset, 512, stamp) : new byte[512];
                Assert.Equal(GuestStamp.Describe(expected), GuestStamp.Describe(sector));
            }

            if (round % 200 == 0)
            {
                await node.FlushAsync();
            }
        }
    }
}
