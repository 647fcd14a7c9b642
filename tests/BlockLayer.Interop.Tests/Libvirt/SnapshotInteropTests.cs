using System.Text.Json;
using BlockLayer.Libvirt;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Libvirt;

/// <summary>
/// Snapshots of two disks that qemu-img made, deleted in every way: afterwards qemu-img follows each chain to the files that are left, finds nothing wrong with any of them, and reads what
/// the guest read. The first disk is qcow2 over a raw template, the second QED.
/// </summary>
public sealed class SnapshotInteropTests : IDisposable
{
    private const int MiB = 1 << 20;

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");

    [Theory]
    [InlineData("backward", "s1", true, "a.s3 a.s2 a.qcow2 template.raw", "b.s3 b.s2 b.qed")]
    [InlineData("backward", "s3", true, "a.s2 a.s1 a.qcow2 template.raw", "b.s2 b.s1 b.qed")]
    [InlineData("forward", "s1", true, "a.s3 a.s2 a.s1 template.raw", "b.s3 b.s2 b.s1")]
    [InlineData("forward", "s3", true, "a.s3 a.s1 a.qcow2 template.raw", "b.s3 b.s1 b.qed")]
    [InlineData("backward", "s2", false, "a.s3 a.s1 a.qcow2 template.raw", "b.s3 b.s1 b.qed")]
    [InlineData("forward", "s2", false, "a.s3 a.s2 a.qcow2 template.raw", "b.s3 b.s2 b.qed")]
    public async Task After_a_delete_qemu_img_agrees(string merge, string snapshot, bool isRunning, string vda, string vdb)
    {
        MakeDisks();
        await using var host = new LibvirtHost(new LibvirtHostOptions { SnapshotFolder = _folder.Path });
        LibvirtConnection connection = host.Connect();
        Domain domain = connection.Define($"<domain><name>vm</name><devices>{DiskXml("vda", "qcow2", "a.qcow2")}{DiskXml("vdb", "qed", "b.qed")}</devices></domain>");
        await connection.StartAsync(domain);
        var snapshots = new SnapshotApi(connection);
        for (int i = 1; i <= 3; i++)
        {
            await snapshots.CreateAsync(domain, $"<domainsnapshot><name>s{i}</name><disks>{Merge("vda", merge)}{Merge("vdb", merge)}</disks></domainsnapshot>");
            await WriteAsync(domain, i);
        }

        foreach (DomainDisk disk in domain.Disks)
        {
            byte[] shown = new byte[disk.Open!.Length];
            await disk.Open.ReadAsync(0, shown);
            await File.WriteAllBytesAsync(_folder.File($"{disk.Target}.expected"), shown, TestContext.Current.CancellationToken);
        }

        if (!isRunning)
        {
            await connection.ShutOffAsync(domain);
        }

        await snapshots.DeleteAsync(domain, snapshot);
        if (isRunning)
        {
            await connection.ShutOffAsync(domain);
        }

        AssertDisk("vda", vda.Split(' '));
        AssertDisk("vdb", vdb.Split(' '));
        string[] expected = [.. vda.Split(' '), .. vdb.Split(' '), "template.raw", "vda.expected", "vdb.expected", "vm.snapshots.xml"];
        Assert.Equal(expected.Distinct().Order(StringComparer.Ordinal), Directory.GetFiles(_folder.Path).Select(static path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
    }

    public void Dispose() => _folder.Dispose();

    private void MakeDisks()
    {
        _qemuImg.RunOk("create", "-q", "-f", "raw", _folder.File("template.raw"), "2M");
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=16k", "-b", "template.raw", "-F", "raw", _folder.File("a.qcow2"), "3M");
        _qemuImg.RunOk("create", "-q", "-f", "qed", _folder.File("b.qed"), "3M");
        _qemuIo.RunOk("-f", "raw", "-c", "write -P 1 100k 700k", _folder.File("template.raw"));
        _qemuIo.RunOk("-f", "qcow2", "-c", "write -P 2 400k 300k", "-c", "write -z 600k 50k", _folder.File("a.qcow2"));
        _qemuIo.RunOk("-f", "qed", "-c", "write -P 3 2M 500k", _folder.File("b.qed"));
    }

    private static async Task WriteAsync(Domain domain, int round)
    {
        foreach (DomainDisk disk in domain.Disks)
        {
            await disk.Open!.WriteAsync(round * 150 * 1024, Enumerable.Repeat((byte)(10 + round), 200 * 1024).ToArray());
            await disk.Open.WriteZeroesAsync(((round * 150) + 20) * 1024, 30 * 1024);
        }
    }

    private void AssertDisk(string target, string[] chain)
    {
        string active = _folder.File(chain[0]);
        using JsonDocument info = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", active));
        Assert.Equal(chain, info.RootElement.EnumerateArray().Select(static image => Path.GetFileName(image.GetProperty("filename").GetString()!)));
        foreach (string image in chain.Where(static name => name != "template.raw"))
        {
            _qemuImg.RunOk("check", "-q", _folder.File(image));
        }

        _qemuImg.RunOk("compare", "-q", "-f", "raw", _folder.File($"{target}.expected"), active);
    }

    private string DiskXml(string target, string format, string file)
        => $"<disk type='file'><driver type='{format}'/><source file='{_folder.File(file)}'/><target dev='{target}'/></disk>";

    private static string Merge(string target, string merge) => $"<disk name='{target}' snapshot='external'><on_delete merge='{merge}'/></disk>";
}
