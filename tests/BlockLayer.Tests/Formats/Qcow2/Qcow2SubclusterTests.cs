using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>What one request does to the subclusters it touches, and to those beside them.</summary>
public sealed class Qcow2SubclusterTests
{
    private const int ClusterSize = 64 * 1024;
    private const int Subcluster = ClusterSize / 32;
    private const int Length = 8 * ClusterSize;

    private readonly TestWorld _world = new();
    private readonly byte[] _below = Pattern.Of(0, Length, writer: 50);

    [Fact]
    public async Task A_small_write_stores_its_subclusters_and_no_others()
    {
        await using Qcow2Node node = await OpenOverlayAsync();

        await node.WriteAsync((5 * Subcluster) + 100, new byte[Subcluster]);

        Assert.Equal("-5 D2 -25", await MapAsync(node, 0, ClusterSize));
        byte[] expected = [.. _below];
        expected.AsSpan((5 * Subcluster) + 100, Subcluster).Clear();
        await AssertReadsAsync(node, expected);
    }

    [Fact]
    public async Task A_second_write_to_the_cluster_goes_to_the_same_place_in_the_file()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        await node.WriteAsync(0, new byte[1]);
        long length = node.File.Length;
        BlockStatus first = await node.GetStatusAsync(0, Subcluster, StatusDepth.Node);

        await node.WriteAsync(31 * Subcluster, new byte[1]);

        BlockStatus last = await node.GetStatusAsync(31 * Subcluster, Subcluster, StatusDepth.Node);
        Assert.Equal(first.HostOffset + (31 * Subcluster), last.HostOffset);
        Assert.Equal("D1 -30 D1", await MapAsync(node, 0, ClusterSize));
        Assert.InRange(node.File.Length, length, first.HostOffset + ClusterSize);
    }

    [Fact]
    public async Task A_long_write_over_stored_and_missing_subclusters_stores_all_of_it()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        foreach (int at in new[] { 3, 4, 9, 40, 70 })
        {
            await node.WriteAsync(at * Subcluster, Pattern.Of(0, 10, writer: 1));
        }

        byte[] data = Pattern.Of(7, 70 * Subcluster, writer: 2);
        await node.WriteAsync((2 * Subcluster) + 7, data);

        Assert.Equal("-2 D71 -23", await MapAsync(node, 0, 3 * ClusterSize));
        byte[] expected = [.. _below];
        data.CopyTo(expected, (2 * Subcluster) + 7);
        await AssertReadsAsync(node, expected);
    }

    [Fact]
    public async Task Zeroes_and_discards_are_told_by_subcluster_and_keep_the_rest_of_the_cluster()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        await node.WriteAsync(0, _below.AsMemory(0, ClusterSize));

        await node.WriteZeroesAsync(2 * Subcluster, 3 * Subcluster);
        await node.DiscardAsync(10 * Subcluster, 4 * Subcluster);

        Assert.Equal("D2 Z3 D5 Z4 D18", await MapAsync(node, 0, ClusterSize));
        byte[] expected = [.. _below];
        expected.AsSpan(2 * Subcluster, 3 * Subcluster).Clear();
        expected.AsSpan(10 * Subcluster, 4 * Subcluster).Clear();
        await AssertReadsAsync(node, expected);
    }

    [Fact]
    public async Task A_cluster_of_which_nothing_is_stored_any_more_gives_its_room_back()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        await node.WriteAsync(0, _below.AsMemory(0, 4 * Subcluster));
        await node.FlushAsync();
        long used = _world.Files.UsedLength;

        await node.DiscardAsync(0, 2 * Subcluster);
        await node.DiscardAsync(2 * Subcluster, 2 * Subcluster);
        for (int i = 0; i < 3; i++)
        {
            await node.FlushAsync();
        }

        Assert.Equal("Z4 -28", await MapAsync(node, 0, ClusterSize));
        Assert.InRange(_world.Files.UsedLength, 0, used - (3 * Subcluster));
    }

    [Fact]
    public async Task A_copy_from_below_fills_what_is_missing_and_nothing_else()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        byte[] guest = Pattern.Of(0, Subcluster, writer: 3);
        await node.WriteAsync(6 * Subcluster, guest);
        await node.WriteZeroesAsync(8 * Subcluster, Subcluster);

        await node.PopulateAsync(5 * Subcluster, _below.AsMemory(5 * Subcluster, 5 * Subcluster));

        Assert.Equal("-5 D3 Z1 D1 -22", await MapAsync(node, 0, ClusterSize));
        byte[] expected = [.. _below];
        guest.CopyTo(expected, 6 * Subcluster);
        expected.AsSpan(8 * Subcluster, Subcluster).Clear();
        await AssertReadsAsync(node, expected);
    }

    [Fact]
    public async Task A_write_into_a_compressed_cluster_brings_all_of_it_along()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        byte[] content = new byte[ClusterSize];
        content.AsSpan(0, 5000).Fill(7);
        await node.WriteAsync(0, content, WriteFlags.Compressed);
        Assert.Equal("C32", await MapAsync(node, 0, ClusterSize));

        await node.WriteAsync(9 * Subcluster, new byte[] { 1, 2, 3 });

        Assert.Equal("D32", await MapAsync(node, 0, ClusterSize));
        byte[] expected = [.. _below];
        content.CopyTo(expected, 0);
        new byte[] { 1, 2, 3 }.CopyTo(expected, 9 * Subcluster);
        await AssertReadsAsync(node, expected);
    }

    [Theory]
    [InlineData(0x0000_0001_0000_0003, "has a subcluster that is both allocated and zero")]
    [InlineData(0x8000_0000_8000_0000, "has a subcluster that is both allocated and zero")]
    public async Task Words_that_contradict_each_other_fail_their_own_cluster_and_no_other(ulong subclusters, string complaint)
    {
        long entryAt;
        await using (Qcow2Node node = await OpenOverlayAsync())
        {
            await node.WriteAsync(0, new byte[4 * ClusterSize]);
            await node.FlushAsync();
            entryAt = await PositionOfEntryAsync(node, cluster: 2);
        }

        await PatchAsync(entryAt + 8, subclusters);
        await AssertOneBadClusterAsync(complaint);
    }

    [Fact]
    public async Task Stored_subclusters_without_a_host_cluster_fail_their_own_cluster_and_no_other()
    {
        long entryAt;
        await using (Qcow2Node node = await OpenOverlayAsync())
        {
            await node.WriteAsync(0, new byte[4 * ClusterSize]);
            await node.FlushAsync();
            entryAt = await PositionOfEntryAsync(node, cluster: 2);
        }

        await PatchAsync(entryAt, 0);
        await AssertOneBadClusterAsync("has an allocated subcluster but no host cluster");
    }

    [Fact]
    public async Task Writes_to_different_subclusters_of_a_cluster_do_not_wait_for_each_other()
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, ExtendedL2 = true });
        var gate = new GatedFileNode(await _world.OpenFileAsync("disk"));
        await using BlockNode node = await Qcow2Format.Instance.OpenAsync(
            gate, new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite }, CancellationToken.None);
        await node.WriteAsync(0, new byte[] { 1 });
        BlockStatus stored = await node.GetStatusAsync(0, 1, StatusDepth.Node);

        gate.HoldWriteTo(stored.HostOffset + (10 * Subcluster));
        Task held = node.WriteAsync(10 * Subcluster, _below.AsMemory(0, 512)).AsTask();
        await gate.Arrived;
        await node.WriteAsync(20 * Subcluster, _below.AsMemory(512, 512));
        Task same = node.WriteAsync((10 * Subcluster) + 1024, _below.AsMemory(1024, 512)).AsTask();
        Task discard = node.DiscardAsync(0, ClusterSize).AsTask();
        Assert.Equal((false, false), (same.IsCompleted, discard.IsCompleted));
        Assert.Equal("D1 -19 D1 -11", await MapAsync(node, 0, ClusterSize));

        gate.LetGo();
        await Task.WhenAll(held, same, discard);
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Fact]
    public async Task Requests_to_stored_subclusters_are_synchronous_and_allocate_nothing()
    {
        await using Qcow2Node node = await OpenOverlayAsync();
        byte[] data = Pattern.Of(0, Length, writer: 1);
        await node.WriteAsync(0, data);
        await node.WriteAsync(0, data); // now the clusters are known to be ours alone
        byte[] buffer = new byte[2 * Subcluster];
        Run(node, buffer); // warm up
        long least = long.MaxValue; // a collection that other tests cause takes the rest of the thread's allocation block, which counts as allocated
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Run(node, buffer);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    private async Task AssertOneBadClusterAsync(string complaint)
    {
        await using Qcow2Node node = await _world.OpenAsync("disk");
        foreach (Func<ValueTask> request in new Func<ValueTask>[]
        {
            () => node.ReadAsync(2 * ClusterSize, new byte[1]),
            () => node.WriteAsync((2 * ClusterSize) + (5 * Subcluster), new byte[1]),
            () => node.WriteZeroesAsync(2 * ClusterSize, ClusterSize),
            () => node.DiscardAsync(2 * ClusterSize, Subcluster),
            () => node.PopulateAsync(2 * ClusterSize, new byte[Subcluster]),
        })
        {
            BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await request());
            Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
            Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
        }

        await node.WriteAsync(3 * ClusterSize, new byte[] { 1 });
        await node.WriteAsync(0, new byte[] { 1 });
        await node.FlushAsync();
    }

    private async ValueTask<long> PositionOfEntryAsync(Qcow2Node node, int cluster)
    {
        byte[] l1 = new byte[8];
        await node.File.ReadAsync(node.Header.L1TableOffset.Value, l1);
        return new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(l1)).L2Table.Value + (cluster * ExtendedL2Entry.Size);
    }

    private async Task PatchAsync(long at, ulong word)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, word);
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(at, bytes);
    }

    private static void Run(Qcow2Node node, byte[] buffer)
    {
        for (int i = 0; i < 500; i++)
        {
            long at = i % 250 * Subcluster;
            ValueTask write = node.WriteAsync(at, buffer);
            Assert.True(write.IsCompletedSuccessfully);
            write.GetAwaiter().GetResult();
            ValueTask read = node.ReadAsync(at, buffer);
            Assert.True(read.IsCompletedSuccessfully);
            read.GetAwaiter().GetResult();
        }
    }

    private async ValueTask<Qcow2Node> OpenOverlayAsync()
    {
        var options = new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, ExtendedL2 = true, Backing = new BackingReference("base", "raw") };
        await _world.CreateAsync("disk", options);
        Qcow2Node node = await _world.OpenAsync("disk");
        node.AttachBacking(await _world.CreateRawAsync("base", _below));
        return node;
    }

    /// <summary>Runs of a range in subclusters: D data, Z zeroes, C compressed, - not in this image.</summary>
    private static async ValueTask<string> MapAsync(BlockNode node, long offset, long length)
    {
        List<(char Kind, long Count)> runs = [];
        while (length > 0)
        {
            BlockStatus status = await node.GetStatusAsync(offset, length, StatusDepth.Node);
            char kind = !status.IsAllocated ? '-' : status.IsZero ? 'Z' : (status.Flags & StatusFlags.Compressed) != 0 ? 'C' : 'D';
            (char Kind, long Count) last = runs.LastOrDefault();
            if (last.Kind == kind)
            {
                runs[^1] = (kind, last.Count + (status.Length / Subcluster));
            }
            else
            {
                runs.Add((kind, status.Length / Subcluster));
            }

            offset += status.Length;
            length -= status.Length;
        }

        return string.Join(' ', runs.Select(run => $"{run.Kind}{run.Count}"));
    }

    private static async ValueTask AssertReadsAsync(Qcow2Node node, byte[] expected)
    {
        byte[] found = new byte[expected.Length];
        await node.ReadAsync(0, found);
        int difference = found.AsSpan().CommonPrefixLength(expected);
        Assert.True(difference == expected.Length, $"byte {difference} is not what was written");
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
    }
}
