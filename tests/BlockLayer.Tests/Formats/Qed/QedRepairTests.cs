using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedRepairTests
{
    private const int Cluster = QedWorld.Cluster;
    private const long L1 = Cluster;
    private const long L2 = 3 * Cluster; // header 0, L1 table 1-2, L2 table 3-4, data from 5 on
    private const int Reach = 4 << 20;   // guest bytes of one L2 table
    private const int NeedCheck = 2;

    private readonly QedWorld _world = new();

    [Fact]
    public async Task Entries_that_lead_nowhere_are_cleared_and_nothing_else()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2, 0x5001);
        await _world.PatchEntryAsync("/disk.qed", L1 + 8, 99 * Cluster);
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await Assert.ThrowsAsync<ImageFormatException>(async () => await node.ReadAsync(0, new byte[1]));
        }

        ImageRepairReport report = await RepairAsync(RepairMode.All);
        Assert.Equal((2L, 1L), (report.CorruptionsFixed, report.LeaksFixed));
        Assert.True(report.After.IsClean);
        await AssertReadsAsync(0, [.. new byte[Cluster], .. Pattern.Of(Cluster, 2 * Cluster, writer: 1)]);
    }

    [Fact]
    public async Task A_cluster_with_two_owners_becomes_two()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2 + (20 * 8), 6 * Cluster); // where guest cluster 1 is
        ImageRepairReport report = await RepairAsync(RepairMode.All);
        Assert.Equal((1L, true), (report.CorruptionsFixed, report.After.IsClean));
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(20 * Cluster, new byte[Cluster]);
        }

        await AssertReadsAsync(Cluster, Pattern.Of(Cluster, Cluster, writer: 1));
    }

    [Fact]
    public async Task A_table_with_two_owners_becomes_two_with_data_of_their_own()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L1 + 8, (ulong)L2);
        ImageRepairReport report = await RepairAsync(RepairMode.All);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
        Assert.Equal(8, report.After.AllocatedClusters);
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(Reach, new byte[Cluster]);
        }

        await AssertReadsAsync(0, Pattern.Of(0, 3 * Cluster, writer: 1));
        await AssertReadsAsync(Reach, [.. new byte[Cluster], .. Pattern.Of(Cluster, 2 * Cluster, writer: 1)]);
    }

    [Fact]
    public async Task Data_that_lies_in_a_table_is_copied_out_of_it()
    {
        await MakeImageAsync();
        byte[] table = await ReadFileAsync(L2, Cluster);
        await _world.PatchEntryAsync("/disk.qed", L2 + (20 * 8), (ulong)L2 + Cluster); // its second cluster: entries that are 0
        await _world.PatchEntryAsync("/disk.qed", L2 + (21 * 8), L1);
        byte[] l1 = await ReadFileAsync(L1, Cluster);
        ImageRepairReport report = await RepairAsync(RepairMode.All);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
        await AssertReadsAsync(20 * Cluster, [.. new byte[Cluster], .. l1]);
        Assert.NotEqual(table, await ReadFileAsync(L2, Cluster));
    }

    [Fact]
    public async Task Leaked_clusters_at_the_end_are_cut_off_and_those_below_are_filled_from_it()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2, 0); // guest cluster 0, host cluster 5
        await _world.PatchAsync("/disk.qed", (11 * Cluster) - 1, 1);
        ImageRepairReport leaks = await RepairAsync(RepairMode.Leaks);
        Assert.Equal((3L, 1L), (leaks.Before.Leaks, leaks.After.Leaks));
        ImageRepairReport all = await RepairAsync(RepairMode.All);
        Assert.True(all.After.IsClean);
        Assert.Equal(8 * Cluster, (await _world.ReadFileAsync("/disk.qed")).Length);
        await AssertReadsAsync(0, [.. new byte[Cluster], .. Pattern.Of(Cluster, 2 * Cluster, writer: 1)]);
        await AssertReadsAsync(9 * Cluster, Pattern.Of(9 * Cluster, Cluster, writer: 1));
    }

    [Fact]
    public async Task Image_that_was_not_closed_cleanly_is_marked_clean_only_by_a_complete_repair()
    {
        await MakeImageAsync();
        await _world.PatchAsync("/disk.qed", 16, NeedCheck);
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, 5 * Cluster);
        Assert.Equal(1, (await RepairAsync(RepairMode.Leaks)).After.Corruptions);
        Assert.True((await _world.ReadHeaderAsync("/disk.qed")).NeedsCheck);
        await RepairAsync(RepairMode.All);
        Assert.False((await _world.ReadHeaderAsync("/disk.qed")).NeedsCheck);
        await AssertReadsAsync(0, [.. Pattern.Of(0, Cluster, writer: 1), .. Pattern.Of(0, Cluster, writer: 1)]);
    }

    [Fact]
    public async Task Tables_that_all_lead_to_one_are_not_copied_without_bound()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(1L << 30));
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            await node.WriteAsync(0, new byte[Cluster]);
        }

        for (int i = 1; i < 200; i++)
        {
            await _world.PatchEntryAsync("/disk.qed", L1 + (i * 8), (ulong)L2);
        }

        long before = (await _world.ReadFileAsync("/disk.qed")).Length;
        ImageRepairReport report = await RepairAsync(RepairMode.All);
        Assert.NotEqual(0, report.After.Corruptions);
        Assert.InRange((await _world.ReadFileAsync("/disk.qed")).Length, before, before * 20);
    }

    [Fact]
    public async Task Image_that_is_open_to_be_used_is_not_repaired_and_one_open_for_a_repair_not_written()
    {
        await MakeImageAsync();
        await using (QedNode used = await _world.OpenAsync("/disk.qed"))
        {
            Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(async () => await used.RepairAsync(RepairMode.All, null, CancellationToken.None))).Kind);
        }

        await using QedNode repaired = await _world.OpenAsync("/disk.qed", purpose: OpenPurpose.Repair);
        Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(async () => await repaired.WriteAsync(0, new byte[512]))).Kind);
    }

    private async ValueTask<ImageRepairReport> RepairAsync(RepairMode mode)
    {
        await using QedNode node = await _world.OpenAsync("/disk.qed", purpose: OpenPurpose.Repair);
        return await node.RepairAsync(mode, progress: null, CancellationToken.None);
    }

    private async ValueTask AssertReadsAsync(long offset, byte[] expected)
    {
        await using QedNode node = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly);
        byte[] content = new byte[expected.Length];
        await node.ReadAsync(offset, content);
        Assert.Equal(expected, content);
    }

    private async ValueTask<byte[]> ReadFileAsync(long offset, int length) => (await _world.ReadFileAsync("/disk.qed")).AsSpan((int)offset, length).ToArray();

    // Guest clusters 0, 1, 9 and 2, in this order, in host clusters 5 to 8.
    private async ValueTask MakeImageAsync()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(8 << 20));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(0, Pattern.Of(0, 2 * Cluster, writer: 1));
        await node.WriteAsync(9 * Cluster, Pattern.Of(9 * Cluster, Cluster, writer: 1));
        await node.WriteAsync(2 * Cluster, Pattern.Of(2 * Cluster, Cluster, writer: 1));
    }
}
