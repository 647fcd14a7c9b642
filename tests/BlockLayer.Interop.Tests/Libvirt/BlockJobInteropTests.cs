using System.Text.Json;
using BlockLayer.Interop.Tests.Pull;
using BlockLayer.Libvirt;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Libvirt;

/// <summary>
/// Each call of libvirt's block jobs on a chain that qemu-img made, with a guest that writes: afterwards qemu-img follows the chain that the description says, finds nothing wrong with any of its
/// images, and reads what it read before, with what the guest wrote. The chain is template.raw &lt;- first &lt;- second &lt;- current.
/// </summary>
public sealed class BlockJobInteropTests : IDisposable
{
    private const int MiB = 1 << 20;
    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private LibvirtConnection? _connection; // while a test runs its job

    [Fact]
    public Task BlockPull_and_what_was_below_can_go()
        => RunAsync(
            calls: async (api, domain) => await api.PullAsync(domain, "vda"),
            expected: ["current.qcow2"],
            unneeded: ["second.qcow2", "first.qcow2", "template.raw"]);

    [Theory]
    [InlineData("vda[2]", BlockRebaseFlags.None, "first.qcow2")]
    [InlineData("vda[3]", BlockRebaseFlags.Relative, "template.raw")]
    public Task BlockRebase_keeps_its_base(string @base, BlockRebaseFlags flags, string kept)
        => RunAsync(
            calls: async (api, domain) => await api.RebaseAsync(domain, "vda", @base, 0, flags),
            expected: kept == "template.raw" ? ["current.qcow2", "template.raw"] : ["current.qcow2", "first.qcow2", "template.raw"],
            unneeded: kept == "template.raw" ? ["second.qcow2", "first.qcow2"] : ["second.qcow2"]);

    [Fact]
    public Task A_pull_of_2011_orphans_what_is_below()
        => RunAsync(
            calls: async (api, domain) => await new BlockPullApi(_connection!).PullBelowAsync(domain, _folder.File("current.qcow2"), "vda[1]"),
            expected: ["current.qcow2", "second.qcow2"],
            unneeded: ["first.qcow2", "template.raw"]);

    [Theory]
    [InlineData(BlockRebaseFlags.Copy, "qcow2")]
    [InlineData(BlockRebaseFlags.Copy | BlockRebaseFlags.CopyRaw, "raw")]
    [InlineData(BlockRebaseFlags.Copy | BlockRebaseFlags.Shallow, "qcow2")]
    public Task BlockRebase_copies(BlockRebaseFlags flags, string format)
    {
        bool isShallow = (flags & BlockRebaseFlags.Shallow) != 0;
        return RunAsync(
            calls: async (api, domain) => await api.RebaseAsync(domain, "vda", _folder.File("copy"), 0, flags),
            expected: isShallow ? ["copy", "second.qcow2", "first.qcow2", "template.raw"] : ["copy"],
            unneeded: isShallow ? ["current.qcow2"] : ["current.qcow2", "second.qcow2", "first.qcow2", "template.raw"],
            format: format);
    }

    [Theory]
    [InlineData("qed", "")]
    [InlineData("qcow2", "extended_l2=on")]
    public Task BlockCopy_fills_a_file_that_qemu_img_made(string format, string options)
    {
        _qemuImg.RunOk([.. new[] { "create", "-q", "-f", format }, .. options.Length == 0 ? [] : new[] { "-o", options }, _folder.File("copy"), "6M"]);
        return RunAsync(
            calls: async (api, domain) => await api.CopyAsync(
                domain,
                "vda",
                $"<disk type='file'><driver name='qemu' type='{format}'/><source file='{_folder.File("copy")}'/></disk>",
                flags: BlockCopyFlags.ReuseExternal | BlockCopyFlags.SynchronousWrites),
            expected: ["copy"],
            unneeded: ["current.qcow2", "second.qcow2", "first.qcow2", "template.raw"],
            format: format);
    }

    [Theory]
    [InlineData("vda[1]", "vda[3]", BlockCommitFlags.Delete, "current.qcow2 template.raw", "second.qcow2 first.qcow2")]
    [InlineData("vda[2]", null, BlockCommitFlags.Shallow | BlockCommitFlags.Relative, "current.qcow2 second.qcow2 template.raw", "")]
    [InlineData(null, "vda[2]", BlockCommitFlags.Active | BlockCommitFlags.Delete, "first.qcow2 template.raw", "current.qcow2 second.qcow2")]
    [InlineData(null, null, BlockCommitFlags.Active, "template.raw", "")]
    public async Task BlockCommit(string? top, string? @base, BlockCommitFlags flags, string expected, string deleted)
    {
        string[] chain = expected.Split(' ');
        await RunAsync(
            calls: async (api, domain) => await api.CommitAsync(domain, "vda", @base, top, 0, flags),
            expected: chain,
            unneeded: [],
            format: chain is ["template.raw"] ? "raw" : "qcow2");
        string[] files = [.. Directory.GetFiles(_folder.Path).Select(path => Path.GetFileName(path))];
        Assert.All(deleted.Split(' ', StringSplitOptions.RemoveEmptyEntries), name => Assert.DoesNotContain(name, files));
    }

    public void Dispose() => _folder.Dispose();

    private async Task RunAsync(Func<BlockJobApi, Domain, Task<DiskJob>> calls, string[] expected, string[] unneeded, string format = "qcow2")
    {
        var chain = new QemuChain(
            _folder,
            new("template.raw", "raw", 4 * MiB),
            new("first.qcow2", "qcow2", 4 * MiB, "cluster_size=4k"),
            new("second.qcow2", "qcow2", 5 * MiB),
            new("current.qcow2", "qcow2", 6 * MiB, "cluster_size=16k"));
        await using (var host = new LibvirtHost())
        {
            _connection = host.Connect();
            Domain domain = await _connection.CreateAsync(
                $"""
                <domain type='qemu'><name>vm</name><devices>
                  <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{chain.Current}'/><target dev='vda'/></disk>
                </devices></domain>
                """);
            DomainDisk disk = domain.FindDisk("vda");
            var api = new BlockJobApi(_connection);
            DiskJob job = await calls(api, domain);
            await disk.Open!.WriteAsync(300 * 1024, Enumerable.Repeat((byte)99, 100 * 1024).ToArray());
            if (await job.WaitForReadyAsync())
            {
                await disk.Open.WriteZeroesAsync(1000 * 1024, 100 * 1024);
                await api.AbortAsync(domain, "vda", BlockJobAbortFlags.Pivot);
            }
            else
            {
                await disk.Open.WriteZeroesAsync(1000 * 1024, 100 * 1024);
            }

            BlockJobEvent end = await job.Completion;
            Assert.True(end is { Status: BlockJobStatus.Completed, Error: null }, end.Error?.ToString());
            Assert.Equal(expected.Select(_folder.File), disk.Chain.Select(element => element.Path));
        }

        foreach (string command in new[] { "write -P 99 300k 100k", "write -z 1000k 100k" })
        {
            _qemuIo.RunOk("-f", "raw", "-c", command, chain.Flattened);
        }

        foreach (string name in unneeded)
        {
            File.Delete(_folder.File(name));
        }

        string current = _folder.File(expected[0]);
        using JsonDocument followed = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", format, current));
        (string Path, string Format)[] found = [.. followed.RootElement.EnumerateArray().Select(static image =>
            (Path.GetFullPath(image.GetProperty("filename").GetString()!), image.GetProperty("format").GetString()!))];
        Assert.Equal(expected.Select(_folder.File), found.Select(image => image.Path));
        foreach ((string path, string imageFormat) in found.Where(image => image.Format != "raw"))
        {
            QemuResult check = _qemuImg.Run("check", "-f", imageFormat, path);
            Assert.True(check.ExitCode == 0, $"{path}: {check.ExitCode}: {check.Output}{check.Error}");
        }

        Assert.Equal("Images are identical.\n", _qemuImg.RunOk("compare", "-f", "raw", "-F", format, chain.Flattened, current));
    }
}
