using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Repair;

/// <summary>An image whose snapshot table cannot be relied on: it is read, not written, and repaired.</summary>
public sealed class SnapshotTableRepairTests
{
    private const string Golden = "q7-snap.qcow2";

    private readonly TestWorld _world = new();

    public static TheoryData<string> Damages => new(SnapshotTableDamage.Names);

    /// <summary>The others can be read to their end, so that all that snapshots use is known.</summary>
    public static TheoryData<string> Unreadable
        => new(SnapshotTableDamage.Names.Where(static damage => damage is not ("count: one too many" or "count: 1000" or "second: a name of 65535 bytes")));

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task The_disk_is_read_as_if_nothing_were_damaged(string damage)
    {
        byte[] sound = await ReadDiskAsync(Spoil(null));
        AssertSame(sound, await ReadDiskAsync(Spoil(damage)));
    }

    [Theory]
    [MemberData(nameof(Unreadable))]
    public async Task Nothing_is_written_and_the_refusal_says_what_to_do(string damage)
    {
        byte[] image = Spoil(damage);
        await _world.WriteFileAsync("image", image);
        await using (Qcow2Node node = await _world.OpenAsync("image"))
        {
            await AssertRefusedAsync(async () => await node.WriteAsync(0, new byte[512]));
            await AssertRefusedAsync(async () => await node.ResizeAsync(node.Length + 512));
            await AssertRefusedAsync(async () => await node.CreateSnapshotAsync("new", CancellationToken.None));
            await AssertRefusedAsync(async () => await node.DeleteSnapshotAsync("1", CancellationToken.None));
            await node.FlushAsync();
        }

        Assert.Equal(image, await _world.ReadFileAsync("image"));
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_repair_keeps_what_can_be_read_and_leaves_nothing_to_find(string damage)
    {
        byte[] sound = await ReadDiskAsync(Spoil(null));
        ImageRepairReport report = await RepairAsync(Spoil(damage));
        Assert.False(report.Before.IsClean);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
        Assert.NotEmpty(report.Repairs);
        await using (Qcow2Node node = await _world.OpenAsync("image"))
        {
            Assert.Equal(SnapshotTableDamage.Kept(damage), (await node.ListSnapshotsAsync(CancellationToken.None)).Count);
            await node.WriteAsync(0, sound.AsMemory(0, 4096));
            await node.CreateSnapshotAsync("new", CancellationToken.None);
            Assert.True((await ImageChecker.CheckAsync(node, cancellationToken: TestContext.Current.CancellationToken)).IsClean);
        }

        AssertSame(sound, await ReadDiskAsync(await _world.ReadFileAsync("image")));
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_repair_of_leaks_frees_nothing_that_snapshots_may_use(string damage)
    {
        byte[] image = Spoil(damage);
        ImageRepairReport report = await RepairAsync(image, RepairMode.Leaks);
        Assert.Equal(0, report.LeaksFixed);
        Assert.Equal(image, await _world.ReadFileAsync("image"));
    }

    [Fact]
    public async Task Snapshots_that_are_kept_show_what_they_showed()
    {
        await _world.WriteFileAsync("image", Spoil(null));
        byte[] first = await ReadSnapshotAsync("1");
        byte[] second = await ReadSnapshotAsync("2");
        await RepairAsync(Spoil("count: 2^32-1"));
        AssertSame(first, await ReadSnapshotAsync("1"));
        AssertSame(second, await ReadSnapshotAsync("2"));
        await RepairAsync(Spoil("second: a name of 65535 bytes"));
        AssertSame(first, await ReadSnapshotAsync("1"));
        AssertSame(second, await ReadSnapshotAsync("2"));
    }

    [Fact]
    public async Task Entries_that_say_nothing_are_told_once_and_counted_all()
    {
        await _world.WriteFileAsync("image", Spoil("count: one too many"));
        await using Qcow2Node node = await _world.OpenAsync("image", NodeAccess.ReadOnly);
        DamagedImage image = new(await _world.ReadFileAsync("image"));
        ImageCheckReport one = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal(["nb_snapshots is 3 at byte 60, but the table has 2; its other entries are empty."], one.Findings.Select(static finding => finding.Message));
        image.Write32(60, 5);
        await _world.WriteFileAsync("image", image.File);
        await using Qcow2Node more = await _world.OpenAsync("image", NodeAccess.ReadOnly);
        ImageCheckReport three = await more.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((3L, 1), (three.Corruptions, three.Findings.Count));
    }

    /// <summary>The table leads to the guest's data: what is no entry there is somebody's content, and must not be made to look like a repaired one.</summary>
    [Fact]
    public async Task A_table_that_lies_on_the_guests_data_is_not_repaired_there()
    {
        byte[] sound = await ReadDiskAsync(Spoil(null));
        DamagedImage image = new(Spoil(null));
        image.Write(64, (ulong)image.Data);
        ImageRepairReport report = await RepairAsync(image.File);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
        AssertSame(sound, await ReadDiskAsync(await _world.ReadFileAsync("image")));
    }

    private static byte[] Spoil(string? damage)
    {
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(Golden).Path));
        if (damage is not null)
        {
            SnapshotTableDamage.Apply(damage, image);
        }

        return image.File;
    }

    private static void AssertSame(byte[] expected, byte[] found) => Assert.True(expected.AsSpan().SequenceEqual(found), "the content has changed");

    private static async Task AssertRefusedAsync(Func<Task> change)
    {
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(change);
        Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
        Assert.StartsWith("The snapshots cannot be read, so nobody knows what they use: ", refused.Message, StringComparison.Ordinal);
        Assert.Contains("The image can be read, and is repaired by 'blk check -r all'.", refused.Message, StringComparison.Ordinal);
    }

    private async Task<byte[]> ReadDiskAsync(byte[] image)
    {
        await _world.WriteFileAsync("image", image);
        await using Qcow2Node node = await _world.OpenAsync("image", NodeAccess.ReadOnly);
        return await ReadAsync(node);
    }

    private async Task<byte[]> ReadSnapshotAsync(string id)
    {
        await using Qcow2Node node = await _world.OpenSnapshotAsync("image", id);
        return await ReadAsync(node);
    }

    private static async Task<byte[]> ReadAsync(BlockNode node)
    {
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        return found;
    }

    private async Task<ImageRepairReport> RepairAsync(byte[] image, RepairMode mode = RepairMode.All)
    {
        await _world.WriteFileAsync("image", image);
        await using Qcow2Node node = await _world.OpenAsync("image", purpose: OpenPurpose.Repair);
        return await ImageChecker.RepairAsync(node, mode, cancellationToken: TestContext.Current.CancellationToken);
    }
}
