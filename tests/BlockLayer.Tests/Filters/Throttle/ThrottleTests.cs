using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>Throttling in virtual time, against the mathematics of the leaky bucket.</summary>
public class ThrottleTests
{
    private const int Length = 1 << 20;

    // A guest that asks again at once has moved u units before a request goes: not before the long burst's bucket, filled at u and leaking at the burst rate, is
    // down to a tenth of a second, nor before the bucket, leaking at the average rate, is down to its size.
    [Theory]
    [InlineData("iops-total=100", 512, 500, 1, 100, 10, 0, 0)]
    [InlineData("iops-read=100", 4096, 500, 1, 100, 10, 0, 0)]
    [InlineData("iops-total=100,iops-total-max=200", 512, 500, 1, 100, 200, 0, 0)]
    [InlineData("iops-total=10,iops-total-max=100,iops-total-max-length=5", 512, 700, 1, 10, 500, 100, 10)]
    [InlineData("iops-total=100,iops-size=4K", 512, 300, 1, 100, 10, 0, 0)]
    [InlineData("iops-total=100,iops-size=4K", 6144, 300, 1.5, 100, 10, 0, 0)]
    [InlineData("iops-total=100,iops-size=4K", 8192, 300, 2, 100, 10, 0, 0)]
    [InlineData("bps-total=1M", 4096, 600, 4096, 1048576, 104857.6, 0, 0)]
    [InlineData("bps-read=1M", 65536, 60, 65536, 1048576, 104857.6, 0, 0)]
    [InlineData("bps-total=1M,bps-total-max=4M,bps-total-max-length=3", 65536, 300, 65536, 1048576, 12582912, 4194304, 419430.4)]
    [InlineData("bps-total=100", 4096, 5, 4096, 100, 10, 0, 0)] // a request larger than the bucket goes, and the next one pays
    public void A_greedy_reader_is_served_when_the_buckets_allow(
        string text, int size, int requests, double units, double average, double bucket, double burstRate, double burstBucket)
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, text);
            byte[] buffer = new byte[size];
            for (int i = 0; i < requests; i++)
            {
                await node.ReadAsync(0, buffer);
                double moved = i * units;
                double expected = Math.Max(0, (moved - bucket) / average);
                expected = burstRate > 0 ? Math.Max(expected, (moved - burstBucket) / burstRate) : expected;
                Assert.InRange(scheduler.Elapsed.TotalSeconds, expected - 1e-6, expected + 0.0011); // timers ring at whole milliseconds
            }
        });
    }

    [Fact]
    public void An_idle_bucket_empties_and_no_further()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "iops-total=10,iops-total-max=20");
            for (int round = 0; round < 3; round++)
            {
                TimeSpan begun = scheduler.Elapsed;
                await ReadAsync(node, 21); // 20 fill the bucket, and one more goes when it is just full
                Assert.Equal(begun, scheduler.Elapsed);
                await ReadAsync(node, 1);
                Assert.Equal(0.1, (scheduler.Elapsed - begun).TotalSeconds, 3);
                await Task.Delay(TimeSpan.FromMinutes(10), scheduler.Time);
            }
        });
    }

    [Fact]
    public void Reads_and_writes_have_limits_of_their_own()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "iops-read=10,bps-write=8192");
            Task reads = ReadAsync(node, 12);
            Task writes = WriteAsync();
            await reads;
            Assert.Equal(1.0, scheduler.Elapsed.TotalSeconds, 3); // the twelfth: (11 - 1) / 10
            await writes;
            Assert.Equal(1.4, scheduler.Elapsed.TotalSeconds, 3);

            async Task WriteAsync()
            {
                await node.WriteAsync(0, new byte[4096]);
                await node.WriteZeroesAsync(0, 4096);
                await node.DiscardAsync(0, 4096);
                await node.WriteAsync(0, new byte[4096]); // after (3 * 4096 - 819.2) / 8192
            }
        });
    }

    [Fact]
    public void Stores_of_copies_count_and_flushes_and_questions_do_not()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "bps-write=4096");
            await node.PopulateAsync(0, new byte[4096]);
            await node.FlushAsync();
            await node.GetStatusAsync(0, 4096, StatusDepth.Node);
            await node.ReadAsync(0, new byte[4096]);
            Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
            await node.PopulateZeroesAsync(4096, 4096);
            Assert.Equal(0.9, scheduler.Elapsed.TotalSeconds, 3);
        });
    }

    [Fact]
    public void Requests_of_one_node_go_in_the_order_they_came()
    {
        var scheduler = new SimulationScheduler(1);
        var served = new List<int>();
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "iops-total=100");
            await ReadAsync(node, 11);
            await Task.WhenAll(Enumerable.Range(0, 40).Select(i => NoteAsync(i, node.ReadAsync(0, new byte[1]))));
        });
        Assert.Equal(Enumerable.Range(0, 40), served);

        async Task NoteAsync(int number, ValueTask request)
        {
            await request;
            served.Add(number);
        }
    }

    [Fact]
    public void The_nodes_of_a_group_share_its_limits_and_take_turns()
    {
        var scheduler = new SimulationScheduler(1);
        var served = new List<int>();
        scheduler.Run(async () =>
        {
            BlockEnvironment environment = TestEnvironment.Of(scheduler);
            var group = new ThrottleGroup(environment.Time, ThrottleLimits.Parse("iops-total=100"));
            ThrottleNode[] nodes = [.. Enumerable.Range(0, 3).Select(i => new ThrottleNode(new MemoryOverlayNode($"disk {i}", Length, 4096, environment), group))];
            await ReadAsync(nodes[0], 11);
            var requests = new List<Task>();
            foreach ((int node, int count) in new[] { (0, 30), (1, 10), (2, 20) })
            {
                requests.AddRange(Enumerable.Range(0, count).Select(_ => NoteAsync(node, nodes[node].ReadAsync(0, new byte[1]))));
            }

            Assert.Equal(60, group.WaitingRequests);
            await Task.WhenAll(requests);
            Assert.Equal(0.6, scheduler.Elapsed.TotalSeconds, 3);
            foreach (ThrottleNode node in nodes)
            {
                await node.DisposeAsync();
            }
        });

        Assert.All(served.Take(30).Chunk(3), turn => Assert.Equal([0, 1, 2], turn.Order()));
        Assert.All(served.Skip(30).Take(20).Chunk(2), turn => Assert.Equal([0, 2], turn.Order()));
        Assert.All(served.Skip(50), node => Assert.Equal(0, node));

        async Task NoteAsync(int node, ValueTask request)
        {
            await request;
            served.Add(node);
        }
    }

    [Fact]
    public void Reads_and_writes_take_turns_under_a_common_limit()
    {
        var scheduler = new SimulationScheduler(1);
        var served = new List<char>();
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "iops-total=100");
            await ReadAsync(node, 11);
            var requests = new List<Task>();
            for (int i = 0; i < 20; i++)
            {
                requests.Add(NoteAsync('r', node.ReadAsync(0, new byte[1])));
            }

            for (int i = 0; i < 20; i++)
            {
                requests.Add(NoteAsync('w', node.WriteAsync(0, new byte[1])));
            }

            await Task.WhenAll(requests);
        });
        Assert.All(served.Chunk(2), turn => Assert.NotEqual(turn[0], turn[1]));

        async Task NoteAsync(char kind, ValueTask request)
        {
            await request;
            served.Add(kind);
        }
    }

    // The request would sleep for an hour. Drained is the node itself, or the root above, whose request sleeps below.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_drain_wakes_who_sleeps_and_what_it_used_up_is_paid_afterwards(bool above)
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            ThrottleNode node = NewNode(scheduler, "bps-total=1");
            await using var root = new RootNode(node);
            await root.ReadAsync(0, new byte[3600]);
            Task sleeper = root.ReadAsync(0, new byte[3600]).AsTask();
            Assert.False(sleeper.IsCompleted);
            using (await DrainScope.BeginAsync(above ? root : node))
            {
                Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
                await node.ReadAsync(Origin.Edge, 0, new byte[400], ReadFlags.None, CancellationToken.None); // nor does anybody sleep who is inside
                Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
            }

            await sleeper;
            await root.ReadAsync(0, new byte[1]);
            Assert.Equal(7600, scheduler.Elapsed.TotalSeconds, 0);
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_close_wakes_who_sleeps(bool above)
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            ThrottleNode node = NewNode(scheduler, "bps-total=1");
            BlockNode top = above ? new RootNode(node) : node;
            await top.ReadAsync(0, new byte[3600]);
            Task sleeper = top.WriteAsync(0, new byte[3600]).AsTask();
            await top.DisposeAsync();
            await sleeper;
            Assert.Equal(0, node.Group.WaitingRequests);
        });
        Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
    }

    [Fact]
    public void A_drain_of_one_node_does_not_let_the_others_of_its_group_go()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            BlockEnvironment environment = TestEnvironment.Of(scheduler);
            var group = new ThrottleGroup(environment.Time, ThrottleLimits.Parse("bps-total=100"));
            await using var one = new ThrottleNode(new MemoryOverlayNode("one", Length, 4096, environment), group);
            await using var other = new ThrottleNode(new MemoryOverlayNode("other", Length, 4096, environment), group);
            await one.ReadAsync(0, new byte[1000]);
            Task sleeper = other.ReadAsync(0, new byte[1]).AsTask();
            (await DrainScope.BeginAsync(one)).Dispose();
            Assert.False(sleeper.IsCompleted);
            await sleeper;
        });
        Assert.Equal(9.9, scheduler.Elapsed.TotalSeconds, 3);
    }

    [Fact]
    public void A_cancelled_request_stops_waiting_and_uses_nothing_up()
    {
        var scheduler = new SimulationScheduler(1);
        using var impatience = new CancellationTokenSource();
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "bps-total=1000");
            await node.ReadAsync(0, new byte[1000]);
            Task cancelled = node.ReadAsync(0, new byte[100_000], ReadFlags.None, impatience.Token).AsTask();
            Task patient = node.ReadAsync(0, new byte[1]).AsTask();
            impatience.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
            Assert.Equal(1, node.Group.WaitingRequests);
            await patient;
        });
        Assert.Equal(0.9, scheduler.Elapsed.TotalSeconds, 3);
    }

    [Theory]
    [InlineData("bps-total=1000", 0.9)]
    [InlineData("", 0)]
    [InlineData("iops-total=1", 0)] // what was used up in bytes does not matter any more
    public void A_change_of_the_limits_holds_for_those_who_wait(string text, double seconds)
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            await using ThrottleNode node = NewNode(scheduler, "bps-total=1");
            await node.ReadAsync(0, new byte[1000]);
            Task sleeper = node.ReadAsync(0, new byte[1]).AsTask();
            node.Group.Limits = ThrottleLimits.Parse(text);
            Assert.Throws<ArgumentException>(() => node.Group.Limits = new ThrottleLimits { OperationSize = -1 });
            await sleeper;
            Assert.Equal(text, node.Group.Limits.ToString());
        });
        Assert.Equal(seconds, scheduler.Elapsed.TotalSeconds, 3);
    }

    private static ThrottleNode NewNode(SimulationScheduler scheduler, string limits)
    {
        BlockEnvironment environment = TestEnvironment.Of(scheduler);
        return new ThrottleNode(new MemoryOverlayNode("disk", Length, 4096, environment), new ThrottleGroup(environment.Time, ThrottleLimits.Parse(limits)));
    }

    private static async Task ReadAsync(BlockNode node, int requests)
    {
        for (int i = 0; i < requests; i++)
        {
            await node.ReadAsync(0, new byte[1]);
        }
    }
}
