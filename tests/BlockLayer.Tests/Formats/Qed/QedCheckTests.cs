using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedCheckTests
{
    private const int Cluster = QedWorld.Cluster;
    private const long L2 = 3 * Cluster; // header 0, L1 table 1-2, L2 table 3-4, data from 5 on
    private const int NeedCheck = 2;

    private readonly QedWorld _world = new();

    [Fact]
    public async Task A_sound_image_is_counted_and_progress_reaches_its_end()
    {
        await MakeImageAsync();
        await using QedNode node = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly);
        var progress = new List<ByteProgress>();
        ImageCheckReport report = await node.CheckAsync(new ListProgress(progress), CancellationToken.None);
        Assert.Equal((0L, 0L), (report.Corruptions, report.Leaks));
        Assert.Equal((2048L, 4L, 2L), (report.TotalClusters, report.AllocatedClusters, report.FragmentedClusters));
        Assert.Equal(9 * Cluster, report.ImageEndOffset);
        Assert.Equal(new ByteProgress(4 << 20, 8 << 20), Assert.Single(progress));
    }

    [Fact]
    public async Task Leaks_bad_offsets_and_shared_clusters_are_told_apart()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", L2, 0x5001);
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, 7 * Cluster);
        await _world.PatchEntryAsync("/disk.qed", Cluster + 8, 99 * Cluster);
        ImageCheckReport report = await CheckAsync();
        Assert.Equal((3L, 2L), (report.Corruptions, report.Leaks));
        Assert.Equal(
            [
                $"L2 entry at byte {L2} holds 0x5001, which is not a multiple of the cluster size, 4096.",
                $"The cluster at byte {7 * Cluster}, which the L2 entry at byte {L2 + (9 * 8)} holds, has another owner.",
                $"L1 entry at byte {Cluster + 8} holds 0x63000, which does not lie wholly inside the file, which ended at {9 * Cluster}.",
            ],
            report.Findings.Select(finding => finding.Message));
    }

    [Fact]
    public async Task A_table_with_two_owners_is_not_followed_twice()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", Cluster + 8, (ulong)L2);
        ImageCheckReport report = await CheckAsync();
        Assert.Equal((2L, 0L, 4L), (report.Corruptions, report.Leaks, report.AllocatedClusters));
        Assert.Equal(
            $"The L1 entry at byte {Cluster + 8} leads to a table at byte {L2}, 2 clusters of which have another owner.",
            Assert.Single(report.Findings).Message);
    }

    [Fact]
    public async Task A_table_that_leads_to_itself_ends_the_walk()
    {
        await MakeImageAsync();
        await _world.PatchEntryAsync("/disk.qed", Cluster + 8, Cluster);
        Assert.Equal(2, (await CheckAsync()).Corruptions);
    }

    [Fact]
    public async Task What_is_only_in_memory_is_checked_too()
    {
        await MakeImageAsync();
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(100 * Cluster, new byte[] { 1 });
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((5L, 0L), (report.AllocatedClusters, report.Leaks));
    }

    [Fact]
    public async Task An_unclean_image_opened_to_be_written_is_repaired_and_closed_clean()
    {
        await MakeImageAsync();
        await _world.PatchAsync("/disk.qed", 16, NeedCheck);
        await _world.PatchEntryAsync("/disk.qed", L2 + 16, 50 * Cluster); // as a crash can leave it where data is not flushed before tables
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            byte[] content = new byte[3 * Cluster];
            await node.ReadAsync(0, content);
            Assert.Equal([.. Pattern.Of(0, 2 * Cluster, writer: 1), .. new byte[Cluster]], content);
        }

        Assert.False((await _world.ReadHeaderAsync("/disk.qed")).NeedsCheck);
        ImageCheckReport report = await CheckAsync();
        Assert.Equal((0L, 1L), (report.Corruptions, report.Leaks));
    }

    [Fact]
    public async Task An_unclean_image_with_two_owners_of_a_cluster_opens_only_to_be_read()
    {
        await MakeImageAsync();
        await _world.PatchAsync("/disk.qed", 16, NeedCheck);
        await _world.PatchEntryAsync("/disk.qed", L2 + 8, 5 * Cluster);
        byte[] before = await _world.ReadFileAsync("/disk.qed");
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(async () => await _world.OpenAsync("/disk.qed"));
        Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
        Assert.Equal("'/disk.qed' was not closed cleanly, and 1 clusters have more than one owner; it can be opened read-only.", error.Message);
        await using (QedNode reader = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly))
        {
            await reader.ReadAsync(0, new byte[Cluster]);
        }

        Assert.Equal(before, await _world.ReadFileAsync("/disk.qed"));
    }

    private async ValueTask<ImageCheckReport> CheckAsync()
    {
        await using QedNode node = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly);
        return await node.CheckAsync(progress: null, CancellationToken.None);
    }

    // Guest clusters 0, 1, 9 and 2, in this order, in host clusters 5 to 8.
    private async ValueTask MakeImageAsync()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(8 << 20));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.WriteAsync(0, Pattern.Of(0, 2 * Cluster, writer: 1));
        await node.WriteAsync(9 * Cluster, Pattern.Of(9 * Cluster, Cluster, writer: 1));
        await node.WriteAsync(2 * Cluster, Pattern.Of(2 * Cluster, Cluster, writer: 1));
    }

    private sealed class ListProgress(List<ByteProgress> reports) : IProgress<ByteProgress>
    {
        public void Report(ByteProgress value) => reports.Add(value);
    }
}
