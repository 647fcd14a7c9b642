using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Images that either program amended or shrank, read and checked by the other.</summary>
public sealed class AmendInteropTests
{
    private const int Length = 3 << 20;

    [Theory]
    [InlineData("compat=0.10", "compat=1.1", "refcount_bits=64", "lazy_refcounts=on", "refcount_bits=16", "compat=0.10")]
    [InlineData("compat=0.10,cluster_size=512", "compat=1.1", "refcount_bits=4", "refcount_bits=16", "compat=0.10")]
    [InlineData("compat=1.1,cluster_size=4k,compression_type=zstd", "refcount_bits=16", "compat=0.10", "compat=1.1")]
    public async Task Images_amended_in_turn_read_the_same(string geometry, params string[] changes)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        QemuTool qemuIo = QemuTool.Require("qemu-io");
        using var folder = new TemporaryFolder();
        string path = folder.File("disk.qcow2");
        await File.WriteAllBytesAsync(folder.File("base.raw"), Pattern.Of(0, Length, writer: 1));
        qemuImg.RunOk("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "-o", geometry, path);
        qemuIo.RunOk("-c", "write -P 1 0 300k", "-c", "write -z 100k 64k", "-c", "write -z -u 1M 200k", path);
        qemuImg.RunOk("snapshot", "-c", "one", path);
        qemuIo.RunOk("-c", "write -P 2 50k 100k", "-c", "write -z -u 1900k 200k", path);
        byte[] content = Read(qemuImg, folder, path);
        byte[] snapshot = Read(qemuImg, folder, path, "-l", "one");
        foreach (string change in changes)
        {
            await using (BlockNode image = await OpenAsync(path))
            {
                await ImageAmender.AmendAsync(image, new Dictionary<string, string> { [change.Split('=')[0]] = change.Split('=')[1] });
            }

            AssertClean(qemuImg, path);
            Assert.True(content.AsSpan().SequenceEqual(Read(qemuImg, folder, path)), $"the disk differs after {change}");
            Assert.True(snapshot.AsSpan().SequenceEqual(Read(qemuImg, folder, path, "-l", "one")), $"the snapshot differs after {change}");
        }

        // What theirs can make of it, ours reads.
        qemuImg.RunOk("amend", "-o", "compat=1.1", path);
        qemuImg.RunOk("amend", "-o", "refcount_bits=8", path);
        await using BlockNode amended = await OpenAsync(path);
        byte[] found = new byte[amended.Length];
        await amended.ReadAsync(0, found);
        Assert.True(content.AsSpan().SequenceEqual(found), "the disk differs after their amendments");
        Assert.True((await ImageChecker.CheckAsync(amended)).IsClean);
    }

    [Fact]
    public async Task An_image_with_a_data_file_is_amended_and_shrunk_and_has_no_snapshots()
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("disk.qcow2");
        qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", $"data_file={folder.File("disk.data")}", path, $"{Length}");
        QemuTool.Require("qemu-io").RunOk("-c", "write -P 1 0 1M", "-c", "write -P 2 2M 200k", path);
        byte[] content = Read(qemuImg, folder, path);
        await using (BlockNode image = await OpenAsync(path))
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => ImageSnapshots.CreateAsync(image, "one").AsTask());
            Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
            await ImageAmender.AmendAsync(image, new Dictionary<string, string> { ["refcount_bits"] = "64", ["lazy_refcounts"] = "on" });
            BlockLayerException version = await Assert.ThrowsAsync<BlockLayerException>(
                () => ImageAmender.AmendAsync(image, new Dictionary<string, string> { ["refcount_bits"] = "16", ["compat"] = "0.10" }).AsTask());
            Assert.Contains("external data file", version.Message, StringComparison.Ordinal);
        }

        AssertClean(qemuImg, path);
        Assert.True(content.AsSpan().SequenceEqual(Read(qemuImg, folder, path)), "the disk differs");
        await using (BlockNode image = await OpenAsync(path))
        {
            await image.ResizeAsync(900 << 10, new ResizeOptions { AllowShrink = true });
        }

        AssertClean(qemuImg, path);
        Assert.True(content.AsSpan(0, 900 << 10).SequenceEqual(Read(qemuImg, folder, path)), "what was kept differs");
    }

    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=512")]
    [InlineData("extended_l2=on")]
    public async Task A_disk_we_shrank_is_sound_and_about_as_small_as_theirs(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("ours.qcow2");
        string theirs = folder.File("theirs.qcow2");
        byte[] content = Pattern.Of(0, Length, writer: 2);
        await File.WriteAllBytesAsync(folder.File("source.raw"), content);
        qemuImg.RunOk("convert", "-f", "raw", "-O", "qcow2", "-o", geometry, folder.File("source.raw"), path);
        qemuImg.RunOk("snapshot", "-c", "kept", path);
        QemuTool.Require("qemu-io").RunOk("-c", "write -P 3 0 600k", "-c", "write -P 4 2M 512k", path);
        File.Copy(path, theirs);
        content = Read(qemuImg, folder, path);
        const int Kept = 700 << 10;
        await using (BlockNode image = await OpenAsync(path))
        {
            await image.ResizeAsync(Kept, new ResizeOptions { AllowShrink = true });
        }

        qemuImg.RunOk("resize", "-f", "qcow2", "--shrink", theirs, $"{Kept}");
        AssertClean(qemuImg, path);
        qemuImg.RunOk("compare", "-f", "qcow2", "-F", "qcow2", path, theirs);
        Assert.True(content.AsSpan(0, Kept).SequenceEqual(Read(qemuImg, folder, path)), "what was kept differs");
        long few = 5 * (64 << 10); // we clear the rest of the last cluster, which the snapshot shares, so ours has a copy of it
        Assert.InRange(new FileInfo(path).Length, Kept, new FileInfo(theirs).Length + few);
        qemuImg.RunOk("snapshot", "-a", "kept", path);
        AssertClean(qemuImg, path);
    }

    private static async ValueTask<BlockNode> OpenAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });

    private static void AssertClean(QemuTool qemuImg, string path)
    {
        QemuResult result = qemuImg.Run("check", "-f", "qcow2", path);
        Assert.True(result.ExitCode == 0, $"qemu-img check: {result.Output}{result.Error}");
    }

    private static byte[] Read(QemuTool qemuImg, TemporaryFolder folder, string path, params string[] more)
    {
        string raw = folder.File("read.raw");
        qemuImg.RunOk(["convert", "-f", "qcow2", "-O", "raw", .. more, path, raw]);
        return File.ReadAllBytes(raw);
    }
}
