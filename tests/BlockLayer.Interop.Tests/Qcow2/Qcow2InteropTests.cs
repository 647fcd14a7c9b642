using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>What we write, qemu-img checks and reads; what qemu-img made, we write and it checks.</summary>
public sealed class Qcow2InteropTests
{
    private const int Length = 5860 * 512; // qemu-img counts in sectors

    // Every size of a cluster and every width of a refcount that the format has, and what else changes the layout.
    public static TheoryData<string> Geometries =>
    [
        .. Enumerable.Range(9, 13).Select(bits => $"compat=1.1,cluster_size={1 << bits}"),
        .. Enumerable.Range(0, 7).Select(order => $"compat=1.1,cluster_size=4k,refcount_bits={1 << order}"),
        "compat=1.1,cluster_size=512,refcount_bits=64",
        "compat=1.1,cluster_size=2M,refcount_bits=1",
        "compat=0.10",
        "compat=0.10,cluster_size=512",
        "compat=0.10,cluster_size=2M",
        "compat=1.1,lazy_refcounts=on",
        "extended_l2=on,cluster_size=16k",
        "extended_l2=on,cluster_size=64k",
        "extended_l2=on,cluster_size=2M,refcount_bits=1",
    ];

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task An_image_we_made_and_wrote_passes_their_check_and_reads_the_same(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("ours.qcow2");
        Dictionary<string, string> options = geometry.Split(',').Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        var image = new NewImage { Format = "qcow2", Length = Length, Options = options };
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(path, image, OpenPolicy.Default);
        AssertClean(qemuImg, path);

        byte[] model = await WriteRandomlyAsync(path, new byte[Length], seed: 1);

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task An_image_they_made_and_we_wrote_passes_their_check_and_reads_the_same(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        byte[] model = Pattern.Of(0, Length, writer: 77);
        string raw = folder.File("source.raw");
        string path = folder.File("theirs.qcow2");
        await File.WriteAllBytesAsync(raw, model);
        qemuImg.RunOk("convert", "-f", "raw", "-O", "qcow2", "-o", geometry, raw, path);

        model = await WriteRandomlyAsync(path, model, seed: 2);

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    [Theory]
    [InlineData("cluster_size=4k")]
    [InlineData("extended_l2=on,cluster_size=16k")]
    public async Task An_image_with_snapshots_and_compressed_clusters_is_written_without_hurting_the_snapshot(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        byte[] model = Pattern.Of(0, Length, writer: 78);
        for (int i = 0; i < Length; i += 8)
        {
            model.AsSpan(i, Math.Min(6, Length - i)).Clear(); // so that it compresses well
        }

        string raw = folder.File("source.raw");
        string path = folder.File("theirs.qcow2");
        await File.WriteAllBytesAsync(raw, model);
        qemuImg.RunOk("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", geometry, raw, path);
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write -P 5 0 200k", "-c", "write -z 300k 100k", path);
        byte[] before = ReadWithQemu(qemuImg, folder, path);
        qemuImg.RunOk("snapshot", "-c", "one", path);

        byte[] after = await WriteRandomlyAsync(path, [.. before], seed: 3);

        AssertClean(qemuImg, path);
        AssertReadsInQemu(after, qemuImg, folder, path);
        qemuImg.RunOk("snapshot", "-a", "one", path);
        AssertReadsInQemu(before, qemuImg, folder, path);
    }

    [Theory]
    [InlineData("compat=1.1")]
    [InlineData("compat=0.10,cluster_size=4k")]
    [InlineData("compat=1.1,cluster_size=4k,refcount_bits=1")]
    [InlineData("compat=1.1,cluster_size=2M")]
    [InlineData("extended_l2=on,cluster_size=16k")]
    [InlineData("extended_l2=on,cluster_size=128k")]
    public async Task Clusters_we_compressed_pass_their_check_and_read_the_same(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("ours.qcow2");
        qemuImg.RunOk("create", "-f", "qcow2", "-o", geometry, path, Length.ToString(CultureInfo.InvariantCulture));
        byte[] model = Pattern.Of(0, Length, writer: 81);
        for (int i = 0; i < Length; i += 4)
        {
            model.AsSpan(i, Math.Min(3, Length - i)).Fill((byte)(i >> 14));
        }

        await using (BlockNode node = await OpenAsync(path))
        {
            await node.WriteAsync(0, model, WriteFlags.Compressed);
        }

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
        Assert.Contains("\"compressed-clusters\"", qemuImg.RunOk("check", "--output=json", path), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disk_of_no_bytes_is_a_sound_image_and_can_grow()
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("empty.qcow2");
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(path, new NewImage { Format = "qcow2", Length = 0 }, OpenPolicy.Default);
        AssertClean(qemuImg, path);
        byte[] model = Pattern.Of(0, 1 << 20, writer: 90);
        await using (BlockNode node = await OpenAsync(path))
        {
            await node.ResizeAsync(model.Length);
            await node.WriteAsync(0, model);
        }

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    [Theory]
    [InlineData("q7-lazy-dirty.qcow2")]
    [InlineData("q11-lazy-dirty.qcow2")]
    public async Task A_dirty_image_we_wrote_passes_their_check(string name)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File(name);
        File.Copy(GoldenImages.Get(name).Path, path);
        byte[] model;
        await using (BlockNode node = await OpenAsync(path))
        {
            model = new byte[node.Length];
            await node.ReadAsync(0, model);
        }

        model = await WriteRandomlyAsync(path, model, seed: 5);

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    [Theory]
    [InlineData("extended_l2=off")]
    [InlineData("extended_l2=on")]
    public async Task An_overlay_we_wrote_reads_the_same_through_its_backing_file(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        byte[] model = new byte[3 << 20];
        Pattern.Fill(model.AsSpan(0, 2_000_000), 0, writer: 79);
        await File.WriteAllBytesAsync(folder.File("base.raw"), model[..2_000_000]);
        string path = folder.File("overlay.qcow2");
        qemuImg.RunOk("create", "-f", "qcow2", "-o", geometry, "-b", "base.raw", "-F", "raw", path, model.Length.ToString(CultureInfo.InvariantCulture));

        model = await WriteRandomlyAsync(path, model, seed: 4);

        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    [Fact]
    public async Task A_new_backing_name_is_what_they_read_from()
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        byte[] model = Pattern.Of(0, 1 << 20, writer: 80);
        await File.WriteAllBytesAsync(folder.File("base.raw"), model);
        File.Copy(folder.File("base.raw"), folder.File("another-place.raw"));
        string path = folder.File("overlay.qcow2");
        qemuImg.RunOk("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", path);
        await using (BlockNode node = await OpenAsync(path))
        {
            await node.RecordBackingAsync(new BackingReference("another-place.raw", "raw"), CancellationToken.None);
        }

        File.Delete(folder.File("base.raw"));
        AssertClean(qemuImg, path);
        AssertReadsInQemu(model, qemuImg, folder, path);
    }

    private static async ValueTask<byte[]> WriteRandomlyAsync(string path, byte[] model, int seed)
    {
        await using BlockNode node = await OpenAsync(path);
        return await ModelContent.ChangeRandomlyAsync(node, model, seed, mayShrink: false);
    }

    private static async ValueTask<BlockNode> OpenAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });

    private static void AssertClean(QemuTool qemuImg, string path)
    {
        QemuResult result = qemuImg.Run("check", "-f", "qcow2", path);
        Assert.True(result.ExitCode == 0, $"qemu-img check: {result.Output}{result.Error}");
    }

    private static void AssertReadsInQemu(byte[] model, QemuTool qemuImg, TemporaryFolder folder, string path)
    {
        byte[] found = ReadWithQemu(qemuImg, folder, path);
        Assert.Equal(model.Length, found.Length);
        int difference = found.AsSpan().CommonPrefixLength(model);
        Assert.True(difference == model.Length, $"qemu-img reads something else at byte {difference}");
    }

    private static byte[] ReadWithQemu(QemuTool qemuImg, TemporaryFolder folder, string path)
    {
        string raw = folder.File("read.raw");
        qemuImg.RunOk("convert", "-f", "qcow2", "-O", "raw", path, raw);
        return File.ReadAllBytes(raw);
    }
}
