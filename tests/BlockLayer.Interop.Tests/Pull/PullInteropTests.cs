using BlockLayer.Interop.Tests.Kill;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>Chains that qemu-img made are pulled by <c>blk</c>, wholly and to a base; qemu-img and qemu-io go on with them.</summary>
public sealed class PullInteropTests : IDisposable
{
    private const int MiB = 1 << 20;

    private static readonly Dictionary<string, QemuImage[]> s_chains = new()
    {
        ["qcow2 over qcow2 over raw, different clusters, growing"] =
        [
            new("template.raw", "raw", 3 * MiB),
            new("intermediate.qcow2", "qcow2", 4 * MiB, "cluster_size=4k"),
            new("current.qcow2", "qcow2", 6 * MiB),
        ],
        ["qcow2 over qed over raw, in different directories"] =
        [
            new("templates/template.raw", "raw", 4 * MiB),
            new("middle/intermediate.qed", "qed", 4 * MiB, "cluster_size=16k,table_size=2"),
            new("guests/current.qcow2", "qcow2", 4 * MiB, "cluster_size=32k"),
        ],
        ["qcow2 over a shorter qcow2 over a longer qcow2"] =
        [
            new("template.qcow2", "qcow2", 8 * MiB, "cluster_size=2M"),
            new("intermediate.qcow2", "qcow2", (3 * MiB) + 512, "cluster_size=512"),
            new("current.qcow2", "qcow2", (5 * MiB) + 1536, "cluster_size=64k"),
        ],
        ["qed over qed over raw, different clusters, growing"] =
        [
            new("template.raw", "raw", 2 * MiB),
            new("intermediate.qed", "qed", 3 * MiB, "cluster_size=4k,table_size=2"),
            new("current.qed", "qed", 5 * MiB),
        ],
        ["qed over qcow2 over qed"] =
        [
            new("template.qed", "qed", 4 * MiB),
            new("intermediate.qcow2", "qcow2", 4 * MiB, "compat=0.10,cluster_size=8k"),
            new("current.qed", "qed", 4 * MiB, "cluster_size=4k,table_size=4"),
        ],
        ["qcow2 version 2 over raw"] =
        [
            new("template.raw", "raw", 2 * MiB),
            new("current.qcow2", "qcow2", 2 * MiB, "compat=0.10"),
        ],
        ["qcow2 with lazy refcounts over qcow2 with narrow refcounts over raw"] =
        [
            new("template.raw", "raw", 4 * MiB),
            new("intermediate.qcow2", "qcow2", 4 * MiB, "refcount_bits=1"),
            new("current.qcow2", "qcow2", 4 * MiB, "lazy_refcounts=on"),
        ],
    };

    private readonly BlkRun _blk = new();

    public static TheoryData<string> Chains => [.. s_chains.Keys];

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_chain_that_qemu_made_is_pulled_wholly(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_blk.Folder, images);

        await _blk.SucceedAsync("pull", chain.Current, "--allow", _blk.Folder.Path, "--quiet");

        Assert.Equal(chain.Expect(images[^1]), chain.FollowWithQemu());
        File.Delete(chain.Template);
        AssertGoesOn(chain);
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_chain_that_qemu_made_is_pulled_to_its_template(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_blk.Folder, images);
        byte[] template = await File.ReadAllBytesAsync(chain.Template);

        await _blk.SucceedAsync("pull", chain.Current, "--base", chain.Template, "--allow", _blk.Folder.Path, "--quiet");

        Assert.Equal(chain.Expect(images[^1], images[0]), chain.FollowWithQemu());
        AssertGoesOn(chain);
        Assert.Equal(template, await File.ReadAllBytesAsync(chain.Template));
    }

    // The other direction: what we made and wrote, QEMU streams, checks and writes, and we read.
    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public async Task A_chain_that_we_made_is_streamed_by_qemu_and_read_by_us(string format, bool stopsAtTemplate)
    {
        using KillChain chain = await KillChain.CreateAsync(format);
        using (var daemon = new StorageDaemon(chain))
        {
            daemon.Stream(stopsAtTemplate ? ",\"base-node\":\"template\"" : "");
            daemon.Quit();
        }

        QemuTool qemuIo = QemuTool.Require("qemu-io");
        foreach ((string path, string image) in new[] { (chain.Current, format), (chain.Expected, "raw") })
        {
            qemuIo.RunOk("-f", image, "-c", "write -P 200 1000k 300k", "-c", "write -z 4M 64k", path);
        }

        File.Delete(chain.PathOf("intermediate"));
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "raw", "-F", format, chain.Expected, chain.Current));
        Assert.Contains("No errors were found", await _blk.SucceedAsync("check", "-f", format, chain.Current), StringComparison.Ordinal);
        QemuTool.Require("qemu-img").RunOk("check", "-f", format, chain.Current);
    }

    public void Dispose() => _blk.Dispose();

    private static void AssertGoesOn(QemuChain chain)
    {
        chain.AssertCheckedAndIdentical();
        chain.WriteWithQemu("write -P 200 100k 300k");
        chain.WriteWithQemu("write -z 700k 64k");
        chain.AssertCheckedAndIdentical();
    }
}
