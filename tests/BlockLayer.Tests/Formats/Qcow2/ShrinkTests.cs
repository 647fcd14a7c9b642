using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

public sealed class ShrinkTests
{
    private const int ClusterSize = 512;
    private const int Length = 600 * ClusterSize; // ten L2 tables

    private static readonly ResizeOptions s_shrink = new() { AllowShrink = true };

    private readonly TestWorld _world = new();

    [Fact]
    public async Task Clusters_tables_and_the_end_of_the_file_are_given_back()
    {
        await using Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        byte[] content = await FillAsync(node);
        await node.FlushAsync();
        long before = node.File.Length;
        uint l1Size = node.Header.L1Size;
        await node.ResizeAsync(5 * ClusterSize, s_shrink);
        Assert.Equal(content[..(5 * ClusterSize)], await ReadAsync(node));
        Assert.Equal(l1Size, node.Header.L1Size);
        Assert.InRange(node.File.Length, ClusterSize, before / 10);
        ImageCheckReport report = await AssertSoundAsync(node);
        Assert.Equal(5, report.AllocatedClusters);
        await node.ResizeAsync(Length);
        Assert.True((await ReadAsync(node)).AsSpan(5 * ClusterSize).IndexOfAnyExcept((byte)0) < 0, "what was cut off came back");
        await FillAsync(node);
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task A_hole_at_the_end_of_the_file_is_passed_over_whatever_its_length()
    {
        await using (Qcow2Node made = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize }))
        {
            await FillAsync(made);
        }

        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            await file.ResizeAsync(1L << 62);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.ResizeAsync(5 * ClusterSize, s_shrink);
        Assert.InRange(node.File.Length, ClusterSize, 200 * ClusterSize);
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task A_snapshot_keeps_what_the_disk_gave_up()
    {
        await using Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        byte[] content = await FillAsync(node);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        await node.ResizeAsync(ClusterSize, s_shrink);
        await AssertSoundAsync(node);
        await using (Qcow2Node shown = await _world.OpenSnapshotAsync("disk", "one"))
        {
            Assert.Equal(content, await ReadAsync(shown));
        }

        await node.ApplySnapshotAsync("one", CancellationToken.None);
        Assert.Equal(content, await ReadAsync(node));
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task Mappings_behind_the_end_do_not_show_when_the_disk_grows_over_them()
    {
        // As a program leaves them that loads a snapshot with VM state: the state lies behind the disk.
        await using (Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize }))
        {
            await FillAsync(node);
        }

        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            byte[] size = [0, 0, 0, 0, 0, 0, 0x10, 0];
            await file.WriteAsync(24, size);
        }

        await using Qcow2Node shorter = await _world.OpenAsync("disk");
        byte[] kept = await ReadAsync(shorter);
        Assert.Equal(0x1000, kept.Length);
        await shorter.ResizeAsync(2 * Length);
        byte[] grown = await ReadAsync(shorter);
        Assert.Equal(kept, grown[..0x1000]);
        Assert.True(grown.AsSpan(0x1000).IndexOfAnyExcept((byte)0) < 0, "what lay behind the end shows");
        await AssertSoundAsync(shorter);
    }

    [Fact]
    public async Task The_rest_of_the_last_cluster_does_not_show_when_another_program_cut_the_disk()
    {
        const int Cut = (2 * ClusterSize) + 100;
        await using (Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = 3 * ClusterSize, ClusterSize = ClusterSize }))
        {
            await FillAsync(node);
        }

        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            byte[] size = [0, 0, 0, 0, 0, 0, Cut >> 8, Cut & 0xff];
            await file.WriteAsync(24, size);
        }

        await using Qcow2Node shorter = await _world.OpenAsync("disk");
        byte[] kept = await ReadAsync(shorter);
        await shorter.ResizeAsync(Length);
        byte[] grown = await ReadAsync(shorter);
        Assert.Equal(kept, grown[..Cut]);
        Assert.True(grown.AsSpan(Cut).IndexOfAnyExcept((byte)0) < 0, "what was cut off came back");
        await AssertSoundAsync(shorter);
    }

    [Fact]
    public async Task A_longer_backing_file_that_was_not_opened_does_not_show_later_where_the_disk_grew()
    {
        var options = new Qcow2CreateOptions { Length = ClusterSize, ClusterSize = ClusterSize, Backing = new BackingReference("base", "raw") };
        await using (Qcow2Node alone = await CreateAsync(options))
        {
            await alone.ResizeAsync(4 * ClusterSize);
        }

        byte[] below = Pattern.Of(0, 4 * ClusterSize, writer: 2);
        await using Qcow2Node node = await _world.OpenAsync("disk");
        node.AttachBacking(await _world.CreateRawAsync("base", below));
        byte[] found = await ReadAsync(node);
        Assert.Equal(below[..ClusterSize], found[..ClusterSize]);
        Assert.True(found.AsSpan(ClusterSize).IndexOfAnyExcept((byte)0) < 0, "the backing file shows in what was added");
        await AssertSoundAsync(node);
    }

    private async Task<Qcow2Node> CreateAsync(Qcow2CreateOptions options)
    {
        await _world.CreateAsync("disk", options);
        return await _world.OpenAsync("disk");
    }

    private static async Task<byte[]> FillAsync(Qcow2Node node)
    {
        byte[] content = Pattern.Of(0, (int)node.Length, writer: 1);
        await node.WriteAsync(0, content);
        return content;
    }

    private static async Task<byte[]> ReadAsync(BlockNode node)
    {
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        return found;
    }

    private static async Task<ImageCheckReport> AssertSoundAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
        return report;
    }
}
