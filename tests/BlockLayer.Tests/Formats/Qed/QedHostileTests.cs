using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>Damaged and malicious tables: errors that name the entry, only where the entry is needed, and never a write that follows it.</summary>
public sealed class QedHostileTests
{
    private const int Cluster = QedWorld.Cluster;
    private const long Reach = 4 << 20;

    // What a new image looks like after its first two writes: header, L1 table in clusters 1-2, L2 table in 3-4, data in 5 and 6.
    private const long L1 = Cluster;
    private const long L2 = 3 * Cluster;
    private const long FileEnd = 7 * Cluster;

    private readonly QedWorld _world = new();

    [Theory]
    [InlineData(0x1234, "is not a multiple of the cluster size, 4096")]
    [InlineData(2, "is not a multiple of the cluster size, 4096")]
    [InlineData(FileEnd, "does not lie wholly inside the file, which ended at 28672")]
    [InlineData(0x7ffffffffffff000, "does not lie wholly inside the file, which ended at 28672")]
    [InlineData(0xfffffffffffff000, "does not lie wholly inside the file, which ended at 28672")]
    [InlineData(L1, "belongs to a table")]
    [InlineData(L2 + Cluster, "belongs to a table")]
    public async Task A_bad_cluster_offset_fails_the_requests_that_need_it_and_no_others(ulong offset, string why)
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, offset);
        byte[] before = await _world.ReadFileAsync("/disk.qed");

        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            string message = $"L2 entry at byte {L2 + 8} holds 0x{offset:x}, which {why}.";
            await AssertCorruptAsync(message, () => node.ReadAsync(Cluster, new byte[10]));
            await AssertCorruptAsync(message, () => node.WriteAsync(Cluster, new byte[10]));
            await AssertCorruptAsync(message, () => node.WriteZeroesAsync(Cluster, Cluster));
            await AssertCorruptAsync(message, () => node.DiscardAsync(Cluster, Cluster));
            await AssertCorruptAsync(message, () => node.PopulateAsync(Cluster, new byte[Cluster]));
            await AssertCorruptAsync(message, async () => await node.GetStatusAsync(Cluster, 1, StatusDepth.Node));

            byte[] neighbour = new byte[Cluster];
            await node.ReadAsync(0, neighbour);
            Assert.Equal(Pattern.Of(0, Cluster, writer: 1), neighbour);
        }

        Assert.Equal(before, await _world.ReadFileAsync("/disk.qed"));
    }

    [Fact]
    public async Task The_largest_offset_does_not_make_its_unallocated_neighbour_bad()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, unchecked((ulong)-Cluster));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        byte[] found = new byte[Cluster];
        await node.ReadAsync(2 * Cluster, found);
        Assert.Equal(new byte[Cluster], found);
        Assert.Equal(1, (await node.CheckAsync(progress: null, CancellationToken.None)).Corruptions);
    }

    [Fact]
    public async Task A_write_next_to_a_bad_entry_keeps_that_entry_as_it_is()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, 0xabcdef);
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(2 * Cluster, Pattern.Of(2 * Cluster, Cluster, writer: 3));
        }

        byte[] file = await _world.ReadFileAsync("/disk.qed");
        Assert.Equal(0xabcdefUL, BitConverter.ToUInt64(file, (int)L2 + 8));
        Assert.Equal((ulong)FileEnd, BitConverter.ToUInt64(file, (int)L2 + 16));
    }

    [Fact]
    public async Task An_offset_past_the_end_stays_bad_when_the_file_grows_over_it()
    {
        await MakeImageAsync(tables: 2);
        long second = await EntryAsync(L1 + 8);
        await _world.PatchEntryAsync("/disk.qed", second, 11 * Cluster); // the file ends at 10
        await using QedNode node = await _world.OpenAsync("/disk.qed", cacheLength: 1);
        await node.WriteAsync(3 * Cluster, Pattern.Of(3 * Cluster, 5 * Cluster, writer: 2));
        string message = $"L2 entry at byte {second} holds 0xb000, which does not lie wholly inside the file, which ended at 40960.";
        await AssertCorruptAsync(message, () => node.WriteAsync(Reach, new byte[1]));
    }

    [Theory]
    [InlineData(0x123, "is not a multiple of the cluster size, 4096")]
    [InlineData(L1, "belongs to a table")]
    [InlineData(2 * Cluster, "belongs to a table")]
    [InlineData(6 * Cluster, "does not lie wholly inside the file, which ended at 28672")]
    [InlineData(L2, "is used by another entry too")]
    [InlineData(4 * Cluster, "is used by another entry too")]
    public async Task A_bad_table_offset_fails_the_requests_that_need_it_and_no_others(ulong offset, string why)
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L1 + 8, offset);
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        string message = $"L1 entry at byte {L1 + 8} holds 0x{offset:x}, which {why}.";
        await AssertCorruptAsync(message, () => node.ReadAsync(Reach, new byte[10]));
        await AssertCorruptAsync(message, () => node.WriteAsync(Reach, new byte[10]));
        await AssertCorruptAsync(message, () => node.WriteZeroesAsync(Reach, Cluster));
        byte[] unallocated = new byte[10];
        await node.ReadAsync(2 * Reach, unallocated);
        Assert.Equal(new byte[10], unallocated);
    }

    [Fact]
    public async Task Tables_that_claim_gibibytes_cost_no_memory_before_they_are_used()
    {
        // 64 MiB clusters and 16-cluster tables: the L1 table alone is 1 GiB of hole.
        await _world.CreateAsync("/huge.qed", new QedCreateOptions { Length = 1L << 60, ClusterSize = 1 << 26, TableSize = 16 });
        long before = GC.GetAllocatedBytesForCurrentThread();
        await using QedNode node = await _world.OpenAsync("/huge.qed", access: NodeAccess.ReadOnly);
        byte[] found = new byte[4096];
        await node.ReadAsync((1L << 60) - 4096, found);
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal(0, check.Corruptions);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public async Task A_file_that_ends_inside_a_cluster_is_extended_behind_that_cluster()
    {
        await MakeImageAsync();
        await _world.PatchAsync("/disk.qed", FileEnd, 1, 2, 3);
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(2 * Cluster, new byte[] { 7 });
        }

        byte[] file = await _world.ReadFileAsync("/disk.qed");
        Assert.Equal([1, 2, 3], file[(int)FileEnd..((int)FileEnd + 3)]);
        Assert.Equal((ulong)FileEnd + Cluster, BitConverter.ToUInt64(file, (int)L2 + 16));
    }

    [Theory]
    [InlineData(0, "The backing file name contains a NUL.")]
    [InlineData(0xff, "The backing file name is not UTF-8.")]
    public async Task A_backing_name_that_is_no_name_is_refused(byte bad, string message)
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(Reach) with { Backing = new BackingReference("base.raw", "raw") });
        await _world.PatchAsync("/disk.qed", 66, bad);
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(async () => await _world.OpenAsync("/disk.qed"));
        Assert.Equal((BlockErrorKind.InvalidFormat, message), (error.Kind, error.Message));
    }

    [Fact]
    public async Task A_refused_open_leaves_the_file_to_the_caller()
    {
        await MakeImageAsync();
        await _world.PatchAsync("/disk.qed", 4, 1);
        await using StorageNode file = await _world.OpenFileAsync("/disk.qed", NodeAccess.ReadWrite);
        var context = new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite };
        await Assert.ThrowsAsync<ImageFormatException>(async () => await QedFormat.Instance.OpenAsync(file, context, CancellationToken.None));
        await file.ReadAsync(0, new byte[4]);
        Assert.Empty(file.Parents);
    }

    private async ValueTask MakeImageAsync(int tables = 1)
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(4 * Reach));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(0, Pattern.Of(0, 2 * Cluster, writer: 1));
        if (tables == 2)
        {
            await node.WriteAsync(Reach, new byte[Cluster]);
        }
    }

    private async ValueTask<long> EntryAsync(long at) => BitConverter.ToInt64(await _world.ReadFileAsync("/disk.qed"), (int)at);

    private static async Task AssertCorruptAsync(string message, Func<ValueTask> action)
    {
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(async () => await action());
        Assert.Equal((BlockErrorKind.Corrupt, message), (error.Kind, error.Message));
    }
}
