using System.Text.Json;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Interop.Tests.Qed;

/// <summary>What we write QEMU reads and finds clean, what QEMU writes we read and find clean, and both keep the rest.</summary>
public sealed class QedInteropTests : IDisposable
{
    private const int Length = 3 << 20;
    private const int BaseLength = 1_500_160;

    private readonly QemuTool _img = QemuTool.Require("qemu-img");
    private readonly QemuTool _io = QemuTool.Require("qemu-io");
    private readonly TemporaryFolder _folder = new();

    private readonly QedWorld _world = new()
    {
        Environment = new QedWorld().Environment with { Files = LocalStorageProvider.Instance },
    };

    public static TheoryData<int, int> Geometries => new() { { 4096, 2 }, { 4096, 16 }, { 65536, 4 }, { 131072, 8 }, { 1 << 20, 2 } };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task A_new_image_is_byte_for_byte_the_one_that_qemu_img_makes(int clusterSize, int tableSize)
    {
        (string ours, string theirs) = (_folder.File("ours.qed"), _folder.File("theirs.qed"));
        await File.WriteAllBytesAsync(_folder.File("base.raw"), new byte[BaseLength]);
        await _world.CreateAsync(ours, Options(clusterSize, tableSize) with { Backing = new BackingReference("base.raw", "raw") });
        _img.RunOk("create", "-q", "-f", "qed", "-o", $"cluster_size={clusterSize},table_size={tableSize}", "-b", "base.raw", "-F", "raw", theirs, $"{Length}");
        Assert.Equal(await File.ReadAllBytesAsync(theirs), await File.ReadAllBytesAsync(ours));
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task An_overlay_we_wrote_is_clean_and_reads_the_same_in_QEMU(int clusterSize, int tableSize)
    {
        byte[] model = await MakeBaseAsync();
        string top = _folder.File("top.qed");
        await _world.CreateAsync(top, Options(clusterSize, tableSize) with { Backing = new BackingReference("base.raw", "raw") });
        await using (QedNode node = await _world.OpenAsync(top, _folder.File("base.raw")))
        {
            await WriteRandomlyAsync(node, model, seed: clusterSize + tableSize);
        }

        AssertClean(top);
        await AssertQemuReadsAsync(top, model);
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task An_image_that_QEMU_wrote_is_read_written_and_clean(int clusterSize, int tableSize)
    {
        byte[] model = await MakeBaseAsync();
        string top = _folder.File("top.qed");
        _img.RunOk("create", "-q", "-f", "qed", "-o", $"cluster_size={clusterSize},table_size={tableSize}", "-b", "base.raw", "-F", "raw", top, $"{Length}");
        _io.RunOk("-f", "qed", "-c", "write -P 0x11 5000 300000", "-c", "write -z 1M 512k", "-c", "write -P 0x22 2500000 1000", top);
        model.AsSpan(5000, 300000).Fill(0x11);
        model.AsSpan(1 << 20, 512 << 10).Clear();
        model.AsSpan(2500000, 1000).Fill(0x22);
        await using (QedNode node = await _world.OpenAsync(top, _folder.File("base.raw")))
        {
            byte[] found = new byte[Length];
            await node.ReadAsync(0, found);
            Assert.Equal(Length, found.AsSpan().CommonPrefixLength(model));
            await WriteRandomlyAsync(node, model, seed: 7);
        }

        AssertClean(top);
        await AssertQemuReadsAsync(top, model);
        _io.RunOk("-f", "qed", "-c", "write -P 0x33 0 3M", top);
        model.AsSpan().Fill(0x33);
        AssertClean(top);
        await using QedNode again = await _world.OpenAsync(top, _folder.File("base.raw"), NodeAccess.ReadOnly);
        byte[] last = new byte[Length];
        await again.ReadAsync(0, last);
        Assert.Equal(Length, last.AsSpan().CommonPrefixLength(model));
    }

    [Fact]
    public async Task A_name_we_recorded_is_the_one_that_qemu_img_shows_and_follows()
    {
        byte[] model = await MakeBaseAsync();
        string top = _folder.File("top.qed");
        await _world.CreateAsync(top, Options(65536, 4) with { Backing = new BackingReference("elsewhere.raw", "raw") });
        await using (QedNode node = await _world.OpenAsync(top))
        {
            await node.RecordBackingAsync(new BackingReference("base.raw", "raw"), CancellationToken.None);
        }

        using JsonDocument info = JsonDocument.Parse(_img.RunOk("info", "--output=json", top));
        Assert.Equal("base.raw", info.RootElement.GetProperty("backing-filename").GetString());
        Assert.Equal("raw", info.RootElement.GetProperty("backing-filename-format").GetString());
        await AssertQemuReadsAsync(top, model);
        await using (QedNode node = await _world.OpenAsync(top))
        {
            await node.RecordBackingAsync(null, CancellationToken.None);
        }

        await AssertQemuReadsAsync(top, new byte[Length]);
    }

    [Fact]
    public async Task A_name_that_qemu_img_recorded_over_ours_is_read()
    {
        await MakeBaseAsync();
        File.Copy(_folder.File("base.raw"), _folder.File("copy.raw"));
        string top = _folder.File("top.qed");
        await _world.CreateAsync(top, Options(65536, 4) with { Backing = new BackingReference("base.raw", "raw") });
        _img.RunOk("rebase", "-u", "-f", "qed", "-b", "copy.raw", "-F", "raw", top);
        await using QedNode node = await _world.OpenAsync(top, access: NodeAccess.ReadOnly);
        Assert.Equal(new BackingReference("copy.raw", "raw"), node.BackingReference);
    }

    [Fact]
    public async Task A_disk_we_grew_over_a_longer_base_reads_zeroes_in_QEMU()
    {
        byte[] model = await MakeBaseAsync();
        string top = _folder.File("top.qed");
        const int Short = 200_192;
        await _world.CreateAsync(top, Options(65536, 4) with { Length = Short, Backing = new BackingReference("base.raw", "raw") });
        await using (QedNode node = await _world.OpenAsync(top, _folder.File("base.raw")))
        {
            await node.ResizeAsync(Length);
        }

        model.AsSpan(Short).Clear();
        AssertClean(top);
        await AssertQemuReadsAsync(top, model);
    }

    [Theory]
    [InlineData(3 * 4096L, 0x5001UL)]           // not aligned
    [InlineData(3 * 4096L, 0x7ffff000UL)]       // past the end
    [InlineData(3 * 4096L, 0UL)]                // a leak
    [InlineData((3 * 4096L) + 8, 0x5000UL)]     // two owners
    [InlineData((3 * 4096L) + 8, 0x1000UL)]     // into the L1 table
    [InlineData(4096L, 0x7ffff000UL)]           // L1 entry past the end
    [InlineData(4096L + 8, 3 * 4096UL)]         // two owners of a table
    [InlineData(4096L + 8, 0x1000UL)]           // a table in the L1 table
    [InlineData(4096L + 8, 4 * 4096UL)]         // a table that overlaps another
    public async Task Damage_is_counted_as_qemu_img_counts_it(long at, ulong entry)
    {
        string disk = _folder.File("disk.qed");
        await _world.CreateAsync(disk, Options(4096, 2) with { Length = 8 << 20 });
        await using (QedNode node = await _world.OpenAsync(disk))
        {
            await node.WriteAsync(0, Pattern.Of(0, 5 * 4096, writer: 1));
        }

        await _world.PatchEntryAsync(disk, at, entry);
        using JsonDocument theirs = JsonDocument.Parse(_img.Run("check", "--output=json", "-f", "qed", disk).Output);
        await using QedNode damaged = await _world.OpenAsync(disk, access: NodeAccess.ReadOnly);
        ImageCheckReport ours = await damaged.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal(
            (Count(theirs, "corruptions"), Count(theirs, "leaks"), Count(theirs, "allocated-clusters"), Count(theirs, "fragmented-clusters")),
            (ours.Corruptions, ours.Leaks, ours.AllocatedClusters, ours.FragmentedClusters));
        Assert.Equal(Count(theirs, "total-clusters"), ours.TotalClusters);
        Assert.True(ours.Corruptions + ours.Leaks > 0);
    }

    [Fact]
    public async Task An_image_we_left_unclean_is_repaired_by_QEMU_without_losing_what_was_flushed()
    {
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(100, 700_000), 100, writer: 5);
        string disk = _folder.File("disk.qed");
        string copy = _folder.File("crashed.qed");
        await _world.CreateAsync(disk, Options(65536, 4));
        await using (QedNode node = await _world.OpenAsync(disk))
        {
            await node.WriteAsync(100, model.AsMemory(100, 700_000));
            await node.FlushAsync();
            await node.WriteAsync(2 << 20, new byte[100_000]); // allocated and not flushed: a leak in the copy
            File.Copy(disk, copy);
        }

        Assert.True(QedHeader.Parse(await File.ReadAllBytesAsync(copy)).NeedsCheck);
        _io.RunOk("-f", "qed", "-c", "write -P 0x44 0 100", copy); // opens to write, so checks and repairs
        model.AsSpan(0, 100).Fill(0x44);
        Assert.False(QedHeader.Parse(await File.ReadAllBytesAsync(copy)).NeedsCheck);
        await AssertQemuReadsAsync(copy, model);
    }

    private static long Count(JsonDocument check, string name) => check.RootElement.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

    private static QedCreateOptions Options(int clusterSize, int tableSize) => new() { Length = Length, ClusterSize = clusterSize, TableSize = tableSize };

    private async Task<byte[]> MakeBaseAsync()
    {
        byte[] content = Pattern.Of(0, BaseLength, writer: 200);
        await File.WriteAllBytesAsync(_folder.File("base.raw"), content);
        byte[] model = new byte[Length];
        content.CopyTo(model, 0);
        return model;
    }

    private static async Task WriteRandomlyAsync(QedNode node, byte[] model, int seed)
    {
        var random = new Random(seed);
        for (int i = 1; i <= 60; i++)
        {
            int offset = random.Next(Length);
            int length = Math.Min(random.Next(1, 150_000), Length - offset);
            if (random.Next(4) == 0)
            {
                model.AsSpan(offset, length).Clear();
                await node.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                continue;
            }

            Pattern.Fill(model.AsSpan(offset, length), offset, writer: i);
            await node.WriteAsync(offset, model.AsMemory(offset, length));
        }
    }

    private void AssertClean(string path)
    {
        using JsonDocument check = JsonDocument.Parse(_img.RunOk("check", "--output=json", "-f", "qed", path));
        Assert.Equal((0L, 0L, 0L), (Count(check, "corruptions"), Count(check, "leaks"), Count(check, "check-errors")));
    }

    private async Task AssertQemuReadsAsync(string path, byte[] model)
    {
        string raw = _folder.File("converted.raw");
        _img.RunOk("convert", "-f", "qed", "-O", "raw", path, raw);
        byte[] found = await File.ReadAllBytesAsync(raw);
        int difference = found.AsSpan().CommonPrefixLength(model);
        Assert.Equal(model.Length, found.Length);
        Assert.True(difference == model.Length, $"QEMU reads something else at byte {difference}");
    }
}
