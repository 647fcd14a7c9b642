using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Room that is there before a guest writes.</summary>
public sealed class Qcow2PreallocationTests
{
    private const int ClusterSize = 64 * 1024;
    private const int Length = (40 * ClusterSize) + 512;

    private readonly TestWorld _world = new();

    [Theory]
    [InlineData(Preallocation.Metadata, false, 3)]
    [InlineData(Preallocation.Falloc, false, 3)]
    [InlineData(Preallocation.Full, false, 2)]
    [InlineData(Preallocation.Metadata, true, 3)]
    [InlineData(Preallocation.Falloc, true, 3)]
    [InlineData(Preallocation.Full, true, 3)]
    public async Task A_preallocated_disk_reads_as_zeroes_and_has_all_the_room_it_needs(Preallocation mode, bool extended, int version)
    {
        await _world.CreateAsync("disk", OptionsOf(mode, extended, version));
        await using Qcow2Node node = await _world.OpenAsync("disk");
        long length = node.File.Length;
        await AssertReadsAsync(node, new byte[Length]);
        Assert.InRange(length, 41 * ClusterSize, 60 * ClusterSize);
        if (mode != Preallocation.Metadata)
        {
            Assert.InRange(_world.Files.UsedLength, 41 * ClusterSize, length);
        }

        byte[] data = Pattern.Of(0, Length, writer: 1);
        await node.WriteAsync(0, data.AsMemory(0, 5000));
        await node.WriteAsync(5000, data.AsMemory(5000));
        await node.FlushAsync();

        Assert.Equal(length, node.File.Length);
        await AssertReadsAsync(node, data);
    }

    [Fact]
    public async Task Metadata_alone_takes_no_room_for_data()
    {
        await _world.CreateAsync("disk", OptionsOf(Preallocation.Metadata, extended: false, version: 3));
        Assert.InRange(_world.Files.UsedLength, 1, 8 * ClusterSize);
    }

    [Fact]
    public async Task The_first_write_to_a_preallocated_cluster_changes_no_table()
    {
        await _world.CreateAsync("disk", OptionsOf(Preallocation.Metadata, extended: false, version: 3));
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.WriteAsync(0, new byte[] { 1 });
        BlockStatus status = await node.GetStatusAsync(0, Length, StatusDepth.Node);
        Assert.True(status is { IsData: true, Length: > 20 * ClusterSize }, "the clusters were stored elsewhere one by one");
    }

    [Fact]
    public async Task A_backing_file_shows_through_preallocated_subclusters()
    {
        byte[] below = Pattern.Of(0, Length, writer: 9);
        await _world.CreateAsync("disk", OptionsOf(Preallocation.Full, extended: true, version: 3) with { Backing = new BackingReference("base", "raw") });
        await using Qcow2Node node = await _world.OpenAsync("disk");
        node.AttachBacking(await _world.CreateRawAsync("base", below));
        await AssertReadsAsync(node, below);
        long length = node.File.Length;

        Pattern.Fill(below.AsSpan(70_000, 9000), 70_000, writer: 10);
        await node.WriteAsync(70_000, below.AsMemory(70_000, 9000));

        await AssertReadsAsync(node, below);
        Assert.Equal(length, node.File.Length);
    }

    [Fact]
    public async Task Preallocated_clusters_would_hide_a_backing_file_so_they_are_refused()
    {
        Qcow2CreateOptions options = OptionsOf(Preallocation.Metadata, extended: false, version: 3) with { Backing = new BackingReference("base", "raw") };
        var refused = await Assert.ThrowsAsync<ArgumentException>(async () => await _world.CreateAsync("disk", options));
        Assert.Equal("preallocation would hide the backing file, except with extended_l2=on.", refused.Message);

        await _world.CreateAsync("disk", options with { Preallocation = Preallocation.Off });
        await using Qcow2Node node = await _world.OpenAsync("disk");
        BlockLayerException growing = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await node.ResizeAsync(2 * Length, new ResizeOptions { Preallocation = Preallocation.Falloc }));
        Assert.Equal(BlockErrorKind.Unsupported, growing.Kind);
        Assert.Equal(Length, node.Length);
    }

    // The room was somebody's before: what is added must not show that.
    [Theory]
    [InlineData(Preallocation.Metadata, false, 3)]
    [InlineData(Preallocation.Falloc, false, 3)]
    [InlineData(Preallocation.Full, false, 2)]
    [InlineData(Preallocation.Metadata, true, 3)]
    [InlineData(Preallocation.Falloc, true, 3)]
    [InlineData(Preallocation.Full, true, 3)]
    public async Task What_a_disk_grows_by_is_preallocated_and_reads_as_zeroes(Preallocation mode, bool extended, int version)
    {
        await _world.CreateAsync("disk", OptionsOf(Preallocation.Off, extended, version));
        await using Qcow2Node node = await _world.OpenAsync("disk");
        byte[] data = new byte[2 * Length];
        data.AsSpan(0, Length).Fill(7);
        await node.WriteAsync(0, Pattern.Of(0, Length, writer: 1));
        await node.WriteAsync(0, data.AsMemory(0, Length), WriteFlags.Compressed); // leaves clusters free and their bytes in the file
        await node.FlushAsync();
        await node.FlushAsync();

        await node.ResizeAsync(2 * Length, new ResizeOptions { Preallocation = mode });

        await AssertReadsAsync(node, data);
        long length = node.File.Length;
        int cluster = (Length / ClusterSize) + 1;
        Pattern.Fill(data.AsSpan(cluster * ClusterSize), cluster * ClusterSize, writer: 2);
        await node.WriteAsync(cluster * ClusterSize, data.AsMemory(cluster * ClusterSize));
        await AssertReadsAsync(node, data);
        Assert.Equal(length, node.File.Length);
    }

    private static Qcow2CreateOptions OptionsOf(Preallocation mode, bool extended, int version)
        => new() { Length = Length, ClusterSize = ClusterSize, Preallocation = mode, ExtendedL2 = extended, Version = version };

    private static async ValueTask AssertReadsAsync(Qcow2Node node, byte[] expected)
    {
        byte[] found = new byte[expected.Length];
        await node.ReadAsync(0, found);
        int difference = found.AsSpan().CommonPrefixLength(expected);
        Assert.True(difference == expected.Length, $"byte {difference} is not what was expected");
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }
}
