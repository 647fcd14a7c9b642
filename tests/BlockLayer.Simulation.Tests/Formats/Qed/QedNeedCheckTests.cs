using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qed;

/// <summary>The bit that says "not closed cleanly", under virtual time.</summary>
public class QedNeedCheckTests
{
    private const int Cluster = QedWorld.Cluster;
    private const string Disk = "/disk.qed";

    private readonly SimulationScheduler _scheduler;
    private readonly SimulatedStorageProvider _storage;
    private readonly QedWorld _world;

    public QedNeedCheckTests()
        : this(seed: 1)
    {
    }

    private QedNeedCheckTests(ulong seed)
    {
        _scheduler = new SimulationScheduler(seed);
        var drawing = new SimulatedStorageProvider();
        new QedWorld { Environment = new QedWorld().Environment with { Files = drawing } }
            .CreateAsync(Disk, QedWorld.Small(64 * Cluster)).AsTask().GetAwaiter().GetResult();
        _storage = new SimulatedStorageProvider(_scheduler);
        _storage.AddFile(Disk, drawing.ReadFile(Disk));
        _world = new QedWorld { Environment = new BlockEnvironment { Files = _storage, Work = _scheduler.Work, Time = _scheduler.Time } };
    }

    [Fact]
    public void The_bit_is_durable_before_a_cluster_is_allocated_and_gone_after_a_clean_close()
        => _scheduler.Run(async () =>
        {
            await using (QedNode node = await _world.OpenAsync(Disk))
            {
                Assert.False(IsSet());
                await node.WriteAsync(0, new byte[10]);
                Assert.True(IsSetDurably());
            }

            Assert.False(IsSetDurably());
        });

    [Fact]
    public void Nothing_but_an_allocation_sets_it_and_a_flush_leaves_it()
        => _scheduler.Run(async () =>
        {
            await using QedNode node = await _world.OpenAsync(Disk);
            await node.WriteAsync(0, new byte[10]);
            await node.FlushAsync();
            Assert.True(IsSet());
            await Task.Delay(TimeSpan.FromSeconds(6), _scheduler.Time);
            Assert.False(IsSetDurably());
            await node.WriteAsync(5, new byte[10]);
            await node.WriteZeroesAsync(0, 100);
            await node.DiscardAsync(0, 64 * Cluster);
            await node.FlushAsync();
            Assert.False(IsSet());
        });

    [Fact]
    public void Five_seconds_count_from_the_last_allocation()
        => _scheduler.Run(async () =>
        {
            await using QedNode node = await _world.OpenAsync(Disk);
            for (int cluster = 0; cluster < 4; cluster++)
            {
                await node.WriteAsync(cluster * Cluster, new byte[10]);
                await Task.Delay(TimeSpan.FromSeconds(4), _scheduler.Time);
                Assert.True(IsSet());
            }

            await Task.Delay(TimeSpan.FromSeconds(2), _scheduler.Time);
            Assert.False(IsSet());
            await node.WriteZeroesAsync(9 * Cluster, Cluster);
            Assert.True(IsSetDurably());
        });

    [Fact]
    public void An_unclean_image_without_allocations_is_clean_after_the_idle_time()
        => _scheduler.Run(async () =>
        {
            await _world.PatchAsync(Disk, 16, 2);
            await using QedNode node = await _world.OpenAsync(Disk);
            Assert.True(IsSet());
            await Task.Delay(TimeSpan.FromSeconds(6), _scheduler.Time);
            Assert.False(IsSetDurably());
        });

    [Fact]
    public void A_drain_holds_the_clearing_back()
        => _scheduler.Run(async () =>
        {
            await using QedNode node = await _world.OpenAsync(Disk);
            await node.WriteAsync(0, new byte[10]);
            using (await DrainScope.BeginAsync(node))
            {
                await Task.Delay(TimeSpan.FromSeconds(20), _scheduler.Time);
                Assert.True(IsSet());
            }

            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
            Assert.False(IsSet());
        });

    [Fact]
    public void Without_the_bit_on_disk_nothing_is_allocated()
        => _scheduler.Run(async () =>
        {
            await using QedNode node = await _world.OpenAsync(Disk);
            _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = Disk, Count = 1 });
            await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[10]));
            Assert.Equal(3 * Cluster, _storage.ReadFile(Disk).Length);
            await node.WriteAsync(0, new byte[10]);
            Assert.True(IsSetDurably());
        });

    [Fact]
    public void A_clearing_that_fails_leaves_the_bit_and_the_next_one_clears_it()
        => _scheduler.Run(async () =>
        {
            await using QedNode node = await _world.OpenAsync(Disk);
            await node.WriteAsync(0, new byte[10]);
            var rule = new FaultRule { Operations = StorageOperations.Write, Path = Disk, Count = 1 };
            _storage.Faults.Add(rule);
            await Task.Delay(TimeSpan.FromSeconds(6), _scheduler.Time);
            Assert.Equal(1, _storage.Faults.CountHits(rule));
            Assert.True(IsSet());
            await node.WriteAsync(Cluster, new byte[10]);
            await Task.Delay(TimeSpan.FromSeconds(6), _scheduler.Time);
            Assert.False(IsSet());
        });

    [Fact]
    public void After_a_failed_sync_the_bit_stays_and_closing_says_why()
        => _scheduler.Run(async () =>
        {
            QedNode node = await _world.OpenAsync(Disk);
            await node.WriteAsync(0, new byte[10]);
            _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = Disk, Count = 1, Effect = FaultEffect.FailPartly });
            await Assert.ThrowsAsync<BlockLayerException>(async () => await node.FlushAsync());
            await Assert.ThrowsAsync<BlockLayerException>(async () => await node.FlushAsync());
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.DisposeAsync());
            Assert.Equal(BlockErrorKind.Io, error.Kind);
            Assert.True(IsSet());
        });

    [Fact]
    public void An_allocation_that_comes_while_the_bit_is_cleared_sets_it_again()
    {
        for (ulong seed = 1; seed <= 100; seed++)
        {
            var test = new QedNeedCheckTests(seed);
            test._scheduler.Run(test.AllocateAroundTheIdleTimeAsync);
        }
    }

    private async Task AllocateAroundTheIdleTimeAsync()
    {
        await using QedNode node = await _world.OpenAsync(Disk);
        await node.WriteAsync(0, new byte[10]);
        await Task.Delay(TimeSpan.FromSeconds(5), _scheduler.Time);
        await node.WriteAsync(Cluster, new byte[10]);
        Assert.True(IsSetDurably());
    }

    private bool IsSet() => QedHeader.Parse(_storage.ReadFile(Disk)).NeedsCheck;

    private bool IsSetDurably()
    {
        using var recorder = new CrashRecorder(_storage);
        return QedHeader.Parse(recorder.Capture("now").NothingSurvived.Open().ReadFile(Disk)).NeedsCheck;
    }
}
