using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedAllocationTests
{
    private const int Cluster = QedWorld.Cluster;
    private const int Length = 64 * Cluster;
    private const int BaseLength = (10 * Cluster) + 1000;

    private readonly SimulatedStorageProvider _files = new();
    private readonly QedWorld _world;
    private readonly byte[] _model = new byte[Length];

    public QedAllocationTests()
    {
        _world = new QedWorld { Environment = new QedWorld().Environment with { Files = _files } };
        Pattern.Fill(_model.AsSpan(0, BaseLength), 0, writer: 9);
    }

    [Theory]
    [InlineData(100, 50)]
    [InlineData(Cluster - 10, 20)]
    [InlineData(5 * Cluster, Cluster)]
    [InlineData((3 * Cluster) + 7, (4 * Cluster) + 11)]
    [InlineData(BaseLength - 5, 10)]
    [InlineData(20 * Cluster, 1)]
    [InlineData(Length - 1, 1)]
    public async Task The_rest_of_a_new_cluster_comes_from_the_base_and_is_zero_past_its_end(int offset, int length)
    {
        await using QedNode node = await CreateOverlayAsync();
        await WriteAsync(node, offset, length, writer: 1);
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task Part_of_a_zero_cluster_written_does_not_bring_the_base_back()
    {
        await using QedNode node = await CreateOverlayAsync();
        await ZeroAsync(node, 2 * Cluster, 3 * Cluster);
        await WriteAsync(node, (3 * Cluster) + 5, 10, writer: 1);
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task Neighbours_that_are_zero_and_unallocated_are_filled_each_from_its_own_source()
    {
        await using QedNode node = await CreateOverlayAsync();
        await ZeroAsync(node, 3 * Cluster, Cluster);
        await WriteAsync(node, (3 * Cluster) + 100, 2 * Cluster, writer: 1);
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task Zeroes_in_whole_clusters_store_no_data()
    {
        await using QedNode node = await CreateOverlayAsync();
        await ZeroAsync(node, 0, Length);
        await AssertReadsAsync(node);
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((0L, 0L, 0L), (check.AllocatedClusters, check.Corruptions, check.Leaks));
        BlockStatus status = await node.GetStatusAsync(0, Length, StatusDepth.Node);
        Assert.Equal(BlockStatus.Zeroes(Length, node), status);
    }

    [Fact]
    public async Task Zeroes_in_part_of_a_cluster_with_nothing_under_it_store_no_data_either()
    {
        await using QedNode node = await CreateOverlayAsync();
        await ZeroAsync(node, (20 * Cluster) + 100, 10);
        Assert.Equal(BlockStatus.Zeroes(Cluster, node), await node.GetStatusAsync(20 * Cluster, Cluster, StatusDepth.Node));
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task Zeroes_without_fallback_are_refused_where_they_need_data()
    {
        await using QedNode node = await CreateOverlayAsync();
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await node.WriteZeroesAsync(Cluster, 100, ZeroFlags.NoFallback));
        Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
        Assert.Equal("'/top.qed' keeps zeroes in whole clusters of 4096 bytes; part of one cannot be zeroed without storing the rest.", error.Message);
        await node.WriteZeroesAsync(Cluster, Cluster, ZeroFlags.NoFallback);
        _model.AsSpan(Cluster, Cluster).Clear();
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task A_discard_leaves_what_is_not_stored_and_never_uncovers_the_base()
    {
        await using QedNode node = await CreateOverlayAsync();
        await WriteAsync(node, 2 * Cluster, Cluster, writer: 1);
        await ZeroAsync(node, 3 * Cluster, Cluster);
        await node.DiscardAsync(0, Length);
        _model.AsSpan(2 * Cluster, Cluster).Clear();
        await AssertReadsAsync(node);
        Assert.True((await node.GetStatusAsync(2 * Cluster, Cluster, StatusDepth.Node)).IsAllocated);
    }

    [Fact]
    public async Task A_copy_from_below_lands_only_where_nothing_is_decided()
    {
        await using QedNode node = await CreateOverlayAsync();
        await WriteAsync(node, Cluster, Cluster, writer: 1);
        await ZeroAsync(node, 3 * Cluster, Cluster);
        byte[] copy = new byte[6 * Cluster];
        Pattern.Fill(copy, 0, writer: 9);

        await node.PopulateAsync(0, copy);
        await node.PopulateZeroesAsync(0, 6 * Cluster);
        await node.PopulateZeroesAsync(30 * Cluster, Length - (30 * Cluster));

        await AssertReadsAsync(node);
        Assert.True((await node.GetStatusAsync(5 * Cluster, Cluster, StatusDepth.Node)).IsData);
        Assert.False((await node.GetStatusAsync(6 * Cluster, Cluster, StatusDepth.Node)).IsAllocated);
        Assert.True((await node.GetStatusAsync(30 * Cluster, Cluster, StatusDepth.Node)).IsZero);
    }

    [Fact]
    public async Task A_write_that_finds_no_room_changes_nothing_and_leaks_nothing_when_it_succeeds_later()
    {
        await using QedNode node = await CreateOverlayAsync();
        await WriteAsync(node, 0, Cluster, writer: 1); // so that the table exists
        var full = new FaultRule { Operations = StorageOperations.Write, Path = "/top.qed", Kind = BlockErrorKind.NoSpace, Effect = FaultEffect.FailPartly };
        _files.Faults.Add(full);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(3 * Cluster, new byte[2 * Cluster]));
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        _files.Faults.Clear();

        await AssertReadsAsync(node);
        await WriteAsync(node, (3 * Cluster) + 1, 10, writer: 2);
        await WriteAsync(node, 9 * Cluster, 10, writer: 3);
        await AssertReadsAsync(node);
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((3L, 0L, 0L), (check.AllocatedClusters, check.Corruptions, check.Leaks));
    }

    [Fact]
    public async Task A_table_that_cannot_be_zeroed_is_tried_again_by_the_next_write()
    {
        await using QedNode node = await CreateOverlayAsync();
        var rule = new FaultRule { Operations = StorageOperations.WriteZeroes, Path = "/top.qed", Count = 1 };
        _files.Faults.Add(rule);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[10]));
        Assert.Equal(1, _files.Faults.CountHits(rule));
        await WriteAsync(node, 0, 10, writer: 1);
        await AssertReadsAsync(node);
    }

    [Fact]
    public async Task A_table_that_could_not_be_written_is_written_by_the_next_flush()
    {
        QedNode node = await CreateOverlayAsync();
        await WriteAsync(node, Cluster, 10, writer: 1);
        _files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/top.qed", Count = 1 });
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.FlushAsync());
        await node.FlushAsync();
        await node.DisposeAsync();
        await using QedNode again = await _world.OpenAsync("/top.qed", "/base.raw");
        await AssertReadsAsync(again);
    }

    [Fact]
    public async Task Writers_that_meet_in_one_new_cluster_allocate_it_once()
    {
        await using QedNode node = await CreateOverlayAsync(new QedWorld()); // simulated storage is for one thread
        Task[] writers = [.. Enumerable.Range(0, 8).Select(writer => Task.Run(async () =>
        {
            for (int cluster = 0; cluster < 64; cluster++)
            {
                int offset = (cluster * Cluster) + (writer * 512);
                await node.WriteAsync(offset, Pattern.Of(offset, 512, writer + 1));
            }
        }))];
        await Task.WhenAll(writers);

        for (int offset = 0; offset < Length; offset += 512)
        {
            Pattern.Fill(_model.AsSpan(offset, 512), offset, (offset / 512 % 8) + 1);
        }

        await AssertReadsAsync(node);
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((64L, 0L, 0L), (check.AllocatedClusters, check.Corruptions, check.Leaks));
    }

    [Fact]
    public async Task The_cache_of_tables_keeps_its_size_and_dirty_tables_reach_the_disk_before_they_go()
    {
        // 4 KiB clusters and two-cluster tables: a table, which is one slice, maps 4 MiB.
        const long Reach = 4 << 20;
        const int Tables = 40;
        await _world.CreateAsync("/wide.qed", QedWorld.Small(Tables * Reach));
        await using (QedNode node = await _world.OpenAsync("/wide.qed", cacheLength: 6 * 8192))
        {
            for (int round = 0; round < 3; round++)
            {
                for (int table = 0; table < Tables; table++)
                {
                    long offset = (table * Reach) + (round * Cluster);
                    await node.WriteAsync(offset, Pattern.Of(offset, Cluster, writer: round + 1));
                    Assert.InRange(node.CachedSlices, 1, 6);
                }
            }
        }

        await using QedNode again = await _world.OpenAsync("/wide.qed", cacheLength: 6 * 8192);
        for (int i = 0; i < 3 * Tables; i++)
        {
            long offset = (i % Tables * Reach) + (i / Tables * Cluster);
            byte[] found = new byte[Cluster];
            await again.ReadAsync(offset, found);
            Assert.Equal(Pattern.Of(offset, Cluster, (i / Tables) + 1), found);
        }
    }

    private async ValueTask<QedNode> CreateOverlayAsync(QedWorld? world = null)
    {
        world ??= _world;
        await world.CreateRawAsync("/base.raw", _model[..BaseLength]);
        await world.CreateAsync("/top.qed", QedWorld.Small(Length) with { Backing = new BackingReference("base.raw", "raw") });
        return await world.OpenAsync("/top.qed", "/base.raw");
    }

    private async ValueTask WriteAsync(QedNode node, int offset, int length, int writer)
    {
        Pattern.Fill(_model.AsSpan(offset, length), offset, writer);
        await node.WriteAsync(offset, _model.AsMemory(offset, length));
    }

    private async ValueTask ZeroAsync(QedNode node, int offset, int length)
    {
        _model.AsSpan(offset, length).Clear();
        await node.WriteZeroesAsync(offset, length);
    }

    private async ValueTask AssertReadsAsync(QedNode node)
    {
        byte[] found = new byte[Length];
        await node.ReadAsync(0, found);
        int difference = found.AsSpan().CommonPrefixLength(_model);
        Assert.True(difference == Length, $"differs from the model at byte {difference}");
    }
}
