using System.Globalization;
using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Disks that we preallocate, beside those that qemu-img does: sound, the same map, and as much room of the file system.</summary>
public sealed class PreallocationInteropTests
{
    private const int Length = 6 << 20;

    [Theory]
    [InlineData("qcow2", "preallocation=off")]
    [InlineData("qcow2", "preallocation=metadata")]
    [InlineData("qcow2", "preallocation=falloc")]
    [InlineData("qcow2", "preallocation=full")]
    [InlineData("qcow2", "preallocation=metadata,extended_l2=on")]
    [InlineData("qcow2", "preallocation=falloc,extended_l2=on,cluster_size=16k")]
    [InlineData("qcow2", "preallocation=full,extended_l2=on")]
    [InlineData("qcow2", "preallocation=falloc,compat=0.10")]
    [InlineData("qcow2", "preallocation=metadata,cluster_size=4k")]
    [InlineData("raw", "preallocation=off")]
    [InlineData("raw", "preallocation=falloc")]
    [InlineData("raw", "preallocation=full")]
    public async Task A_disk_we_preallocate_is_like_theirs(string format, string options)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string ours = folder.File("ours");
        string theirs = folder.File("theirs");
        Dictionary<string, string> pairs = options.Split(',').Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        var image = new NewImage { Format = format, Length = Length, Options = pairs };
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(ours, image, OpenPolicy.Default);
        qemuImg.RunOk("create", "-f", format, "-o", options, theirs, Length.ToString(CultureInfo.InvariantCulture));

        if (format == "qcow2")
        {
            AssertClean(qemuImg, ours);
            Assert.Equal(MapOf(qemuImg, theirs), MapOf(qemuImg, ours)); // qemu-img writes the first block of a raw disk, we do not
        }

        long difference = DiskSizeOf(qemuImg, format, ours) - DiskSizeOf(qemuImg, format, theirs);
        Assert.InRange(difference, -300_000, 300_000); // tables may lie elsewhere and fill another number of file system blocks
    }

    [Theory]
    [InlineData("extended_l2=off")]
    [InlineData("extended_l2=on")]
    public async Task A_disk_we_grow_with_room_passes_their_check_and_is_written_without_growing(string options)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("disk.qcow2");
        qemuImg.RunOk("create", "-f", "qcow2", "-o", options, path, "1M");
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(0, 1 << 20), 0, writer: 1);
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        await using (BlockNode node = await opener.OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite }))
        {
            await node.WriteAsync(0, model.AsMemory(0, 1 << 20));
            await node.ResizeAsync(Length, new ResizeOptions { Preallocation = Preallocation.Falloc });
        }

        AssertClean(qemuImg, path);
        long length = new FileInfo(path).Length;
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write -P 9 2M 4M", path);
        model.AsSpan(2 << 20).Fill(9);
        Assert.Equal(length, new FileInfo(path).Length);
        AssertClean(qemuImg, path);
        string raw = folder.File("raw");
        qemuImg.RunOk("convert", "-f", "qcow2", "-O", "raw", path, raw);
        Assert.Equal(model, await File.ReadAllBytesAsync(raw));
    }

    private static void AssertClean(QemuTool qemuImg, string path)
    {
        QemuResult result = qemuImg.Run("check", "-f", "qcow2", path);
        Assert.True(result.ExitCode == 0, $"qemu-img check: {result.Output}{result.Error}");
    }

    private static long DiskSizeOf(QemuTool qemuImg, string format, string path)
    {
        using JsonDocument info = JsonDocument.Parse(qemuImg.RunOk("info", "-f", format, "--output=json", path));
        return info.RootElement.GetProperty("actual-size").GetInt64();
    }

    private static string MapOf(QemuTool qemuImg, string path)
    {
        using JsonDocument map = JsonDocument.Parse(qemuImg.RunOk("map", "-f", "qcow2", "--output=json", path));
        IEnumerable<string> kinds = map.RootElement.EnumerateArray()
            .Select(run => $"present {run.GetProperty("present")}, zero {run.GetProperty("zero")}, data {run.GetProperty("data")}");
        return string.Join('\n', kinds.Distinct());
    }
}
