using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Images whose refcounts QEMU postponed and never wrote, because it was killed.</summary>
public sealed class LazyRefcountInteropTests : IDisposable
{
    private const int Length = 8 << 20;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(16, 65536)]
    [InlineData(1, 65536)]
    [InlineData(16, 512)]
    public async Task Image_of_a_killed_writer_is_repaired_on_request(int refcountBits, int clusterSize)
    {
        string path = MakeDirty(refcountBits, clusterSize);
        byte[] content = await ReadAsync(path);
        await using (BlockNode node = await OpenAsync(path, NodeAccess.ReadWrite, OpenPurpose.Repair))
        {
            ImageRepairReport report = await ImageChecker.RepairAsync(node, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
            Assert.NotEqual(0, report.Before.Corruptions);
            Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        }

        AssertCleanToQemu(path);
        Assert.Equal(content, await ReadAsync(path));
    }

    [Theory]
    [InlineData(16, 65536)]
    [InlineData(1, 512)]
    public async Task Image_of_a_killed_writer_is_repaired_by_the_first_write(int refcountBits, int clusterSize)
    {
        string path = MakeDirty(refcountBits, clusterSize);
        byte[] content = await ReadAsync(path);
        await using (BlockNode node = await OpenAsync(path, NodeAccess.ReadWrite, OpenPurpose.Use))
        {
            byte[] data = Pattern.Of(5 << 20, 300_000, writer: 9);
            data.CopyTo(content, 5 << 20);
            await node.WriteAsync(5 << 20, data);
        }

        AssertCleanToQemu(path);
        Assert.Equal(content, await ReadAsync(path));
    }

    /// <summary>An image that QEMU wrote and flushed, killed before it wrote refcounts.</summary>
    private string MakeDirty(int refcountBits, int clusterSize)
    {
        string path = _folder.File("lazy.qcow2");
        QemuTool.Require("qemu-img").RunOk("create", "-q", "-f", "qcow2", "-o", $"lazy_refcounts=on,refcount_bits={refcountBits},cluster_size={clusterSize}", path, $"{Length}");
        QemuTool.Require("qemu-io").Run(
            "-f", "qcow2", "-c", "write -P 1 0 1M", "-c", "write -P 2 3M 700k", "-c", "discard 256k 128k", "-c", "flush", "-c", "write -P 3 200k 100k", "-c", "flush", "-c", "sigraise 9", path);
        Assert.True(Qcow2Header.Parse(File.ReadAllBytes(path)).HasFeature(IncompatibleFeatures.Dirty), "the writer was not killed in time");
        return path;
    }

    private static void AssertCleanToQemu(string path)
    {
        Assert.False(Qcow2Header.Parse(File.ReadAllBytes(path)).HasFeature(IncompatibleFeatures.Dirty));
        QemuTool.Require("qemu-img").RunOk("check", "-q", "-f", "qcow2", path);
    }

    private static async Task<byte[]> ReadAsync(string path)
    {
        await using BlockNode node = await OpenAsync(path, NodeAccess.ReadOnly, OpenPurpose.Use);
        byte[] content = new byte[Length];
        await node.ReadAsync(0, content);
        return content;
    }

    private static ValueTask<BlockNode> OpenAsync(string path, NodeAccess access, OpenPurpose purpose)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = access, Purpose = purpose });
}
