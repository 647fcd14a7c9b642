using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedResizeTests
{
    private const int Cluster = QedWorld.Cluster;

    private readonly SimulatedStorageProvider _files = new();
    private readonly QedWorld _world;

    public QedResizeTests() => _world = new QedWorld { Environment = new QedWorld().Environment with { Files = _files } };

    [Theory]
    [InlineData(10 * Cluster, 12 * Cluster)]
    [InlineData((10 * Cluster) + 512, (10 * Cluster) + 1024)]
    [InlineData((10 * Cluster) + 512, 60 * Cluster)]
    [InlineData(0, 512)]
    [InlineData(512, 20 << 20)]
    public async Task What_becomes_visible_is_zero_although_the_base_goes_on(int from, int to)
    {
        byte[] content = Pattern.Of(0, 50 * Cluster, writer: 1);
        await _world.CreateRawAsync("/base.raw", content);
        await _world.CreateAsync("/top.qed", QedWorld.Small(from) with { Backing = new BackingReference("base.raw", "raw") });
        await using (QedNode node = await _world.OpenAsync("/top.qed", "/base.raw"))
        {
            await node.ResizeAsync(to);
            await AssertGrownAsync(node, content, from, to);
        }

        await using QedNode again = await _world.OpenAsync("/top.qed", "/base.raw");
        await AssertGrownAsync(again, content, from, to);
    }

    [Fact]
    public async Task The_hidden_part_of_a_written_last_cluster_is_zero_too()
    {
        await _world.CreateRawAsync("/base.raw", Pattern.Of(0, 50 * Cluster, writer: 1));
        await _world.CreateAsync("/top.qed", QedWorld.Small(512) with { Backing = new BackingReference("base.raw", "raw") });
        await using QedNode node = await _world.OpenAsync("/top.qed", "/base.raw");
        await node.WriteAsync(0, new byte[] { 1 });
        await node.ResizeAsync(Cluster);
        byte[] hidden = new byte[Cluster - 512];
        await node.ReadAsync(512, hidden);
        Assert.Equal(new byte[Cluster - 512], hidden);
    }

    [Fact]
    public async Task Old_table_entries_past_the_end_do_not_become_visible()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(64 * Cluster));
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 64 * Cluster, writer: 1));
        }

        await _world.PatchAsync("/disk.qed", 48, 0, 0x12, 0, 0); // image_size 4608: what a program leaves that shrinks by the header alone
        await using QedNode shrunk = await _world.OpenAsync("/disk.qed");
        await shrunk.ResizeAsync(64 * Cluster);
        byte[] found = new byte[64 * Cluster];
        await shrunk.ReadAsync(0, found);
        Assert.Equal([.. Pattern.Of(0, 4608, writer: 1), .. new byte[(64 * Cluster) - 4608]], found);
    }

    [Fact]
    public async Task A_base_that_is_recorded_and_not_open_counts_as_endless()
    {
        await _world.CreateAsync("/top.qed", QedWorld.Small(Cluster) with { Backing = new BackingReference("base.raw", "raw") });
        await using QedNode node = await _world.OpenAsync("/top.qed");
        await node.ResizeAsync(3 * Cluster);
        Assert.True((await node.GetStatusAsync(Cluster, 2 * Cluster, StatusDepth.Node)).IsAllocated);
        Assert.False((await node.GetStatusAsync(0, Cluster, StatusDepth.Node)).IsAllocated);
    }

    [Fact]
    public async Task A_new_size_that_cannot_be_recorded_leaves_the_old_one()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(Cluster));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        _files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/disk.qed", Count = 1 });
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.ResizeAsync(2 * Cluster));
        Assert.Equal(Cluster, node.Length);
        await node.ResizeAsync(2 * Cluster);
        Assert.Equal(2 * Cluster, node.Length);
    }

    [Theory]
    [InlineData(512, BlockErrorKind.Unsupported, "'/disk.qed' is a QED image and can only grow: 4096 bytes cannot become 512.")]
    [InlineData(5000, BlockErrorKind.OutOfRange, "A length of 5000 bytes cannot be recorded in '/disk.qed': it takes multiples of 512 up to 4294967296.")]
    [InlineData(
        (4L << 30) + 512,
        BlockErrorKind.OutOfRange,
        "A length of 4294967808 bytes cannot be recorded in '/disk.qed': it takes multiples of 512 up to 4294967296.")]
    public async Task Sizes_that_the_format_does_not_take_are_refused(long length, BlockErrorKind kind, string message)
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(Cluster));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        var options = new ResizeOptions { AllowShrink = true };
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.ResizeAsync(length, options));
        Assert.Equal((kind, message), (error.Kind, error.Message));
    }

    private static async Task AssertGrownAsync(QedNode node, byte[] content, int from, int to)
    {
        byte[] found = new byte[to];
        await node.ReadAsync(0, found);
        byte[] expected = new byte[to];
        content.AsSpan(0, from).CopyTo(expected);
        int difference = found.AsSpan().CommonPrefixLength(expected);
        Assert.True(difference == to, $"differs from the model at byte {difference}");
    }
}
