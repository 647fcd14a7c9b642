using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Images;

/// <summary>
/// The same chains, made by qemu-img and filled by qemu-io, rebased and committed once by qemu-img and once by us: both show the same, qemu-img's check, comparison and
/// backing chain agree with ours, and either goes on where the other stopped.
/// </summary>
public sealed class ChainOperationInteropTests : IDisposable
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string, int> Chains => new()
    {
        { "qcow2", "", 6 },
        { "qcow2", "cluster_size=4k", 3 },
        { "qcow2", "compat=0.10", 6 },
        { "qcow2", "extended_l2=on,cluster_size=64k", 6 },
        { "qed", "", 6 },
        { "qed", "cluster_size=4k,table_size=2", 3 },
    };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_rebase_leaves_what_qemu_img_leaves(string format, string options, int length)
    {
        foreach (string onto in (string[])["other", "base", ""])
        {
            MakeChain(format, options, length);
            Copy("top", "theirs");
            Copy("top", "ours");
            string[] backing = onto.Length == 0 ? ["-b", ""] : ["-b", onto, "-F", "raw"];
            _qemuImg.RunOk(["rebase", "-f", format, .. backing, PathOf("theirs")]);
            await RebaseAsync("ours", format, onto);

            AssertSound("ours", format);
            AssertIdentical("ours", format, "flat", "raw");
            AssertIdentical("ours", format, "theirs", format);
            Assert.Equal(ChainOf("theirs", format).Skip(1), ChainOf("ours", format).Skip(1));
            Assert.Equal(AllocatedBy("theirs", format), AllocatedBy("ours", format));

            // Either goes on where the other stopped: nothing is left to copy, and the old chain can be had again.
            Assert.Equal(0, (await RebaseAsync("theirs", format, onto)).CopiedBytes);
            _qemuImg.RunOk("rebase", "-f", format, "-b", "middle", "-F", format, PathOf("ours"));
            AssertSound("ours", format);
            AssertIdentical("ours", format, "flat", "raw");
        }
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_commit_leaves_what_qemu_img_leaves(string format, string options, int length)
    {
        foreach (string basis in (string[])["middle", "base"])
        {
            MakeChain(format, options, length);
            string baseFormat = basis == "base" ? "raw" : format;
            string theirs = Directory.CreateDirectory(PathOf($"theirs-{basis}")).FullName;
            foreach (string name in (string[])["base", "middle", "top"])
            {
                File.Copy(PathOf(name), Path.Combine(theirs, name), overwrite: true);
            }

            // QEMU cannot empty a QED image: it commits, and then says so.
            string[] keep = format == "qed" ? ["-d"] : [];
            _qemuImg.RunOk(["commit", "-q", "-f", format, .. keep, "-b", Path.Combine(theirs, basis), Path.Combine(theirs, "top")]);
            ImageCommitResult result = await CommitAsync("top", format, basis);

            Assert.Equal(basis == "middle", result.EmptiesImage);
            AssertSound("top", format);
            AssertSound(basis, baseFormat);
            AssertIdentical("top", format, "flat", "raw");
            if (basis == "base" || length >= 4)
            {
                AssertIdentical(basis, baseFormat, "flat", "raw"); // a longer base keeps what it has behind the end of the image
            }

            AssertIdentical(basis, baseFormat, Path.Combine(theirs, basis), baseFormat);
            Assert.Equal(ChainOf(Path.Combine(theirs, "top"), format).Select(Path.GetFileName), ChainOf("top", format).Select(Path.GetFileName));
            if (result.EmptiesImage)
            {
                Assert.Equal(0, AllocatedBy("top", format));
            }

            // The emptied overlay goes on in QEMU's hands.
            _qemuIo.RunOk("-f", format, "-c", "write -q -P 77 70k 50k", PathOf("top"));
            _qemuIo.RunOk("-f", "raw", "-c", "write -q -P 77 70k 50k", PathOf("flat"));
            AssertSound("top", format);
            AssertIdentical("top", format, "flat", "raw");
        }
    }

    [Fact]
    public async Task Snapshots_keep_their_clusters_when_the_image_is_emptied()
    {
        MakeChain("qcow2", "cluster_size=4k", 6);
        _qemuImg.RunOk("snapshot", "-c", "before", PathOf("top"));
        _qemuImg.RunOk("convert", "-f", "qcow2", "-l", "snapshot.name=before", "-O", "raw", PathOf("top"), PathOf("kept"));
        _qemuIo.RunOk("-f", "qcow2", "-c", "write -q -P 88 300k 100k", PathOf("top"));

        await CommitAsync("top", "qcow2", "middle");

        AssertSound("top", "qcow2");
        Assert.Equal(0, AllocatedBy("top", "qcow2"));
        _qemuImg.RunOk("snapshot", "-a", "before", PathOf("top"));
        AssertSound("top", "qcow2");
        Assert.True(AllocatedBy("top", "qcow2") > 0);
        _qemuIo.RunOk("-f", "qcow2", "-c", "read -q -P 3 1100k 100k", PathOf("top")); // what top itself held
    }

    // base (raw) <- middle <- top, all of different lengths; other (raw) holds the same here and there. And what top shows.
    private void MakeChain(string format, string options, int length)
    {
        foreach (string name in (string[])["base", "other", "middle", "top", "flat"])
        {
            File.Delete(PathOf(name));
        }

        string[] create = options.Length == 0 ? ["create", "-q", "-f", format] : ["create", "-q", "-f", format, "-o", options];
        _qemuImg.RunOk("create", "-q", "-f", "raw", PathOf("base"), "3M");
        _qemuIo.RunOk("-f", "raw", "-c", "write -q -P 1 0 2900k", PathOf("base"));
        _qemuImg.RunOk("create", "-q", "-f", "raw", PathOf("other"), "5M");
        _qemuIo.RunOk("-f", "raw", "-c", "write -q -P 1 0 1900k", "-c", "write -q -P 9 4M 1M", PathOf("other"));
        _qemuImg.RunOk([.. create, "-b", "base", "-F", "raw", PathOf("middle"), "4M"]);
        _qemuIo.RunOk("-f", format, "-c", "write -q -P 2 1M 300k", "-c", "write -q -z 2M 128k", "-c", "write -q -P 2 3500k 77k", PathOf("middle"));
        _qemuImg.RunOk([.. create, "-b", "middle", "-F", format, PathOf("top"), $"{length}M"]);
        _qemuIo.RunOk("-f", format, "-c", "write -q -P 3 1100k 200k", "-c", $"write -q -P 4 {length - 1}M 64k", "-c", "write -q -z 64k 64k", PathOf("top"));
        _qemuImg.RunOk("convert", "-f", format, "-O", "raw", PathOf("top"), PathOf("flat"));
    }

    private async Task<ImageRebaseResult> RebaseAsync(string name, string format, string onto)
    {
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        BlockNode? backing = onto.Length == 0 ? null : await opener.OpenAsync(PathOf(onto), new ImageOpenOptions { Format = "raw" });
        await using BlockNode image = await opener.OpenAsync(PathOf(name), new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite });
        return await ImageRebaser.RebaseAsync(image, backing, new ImageRebaseOptions { BackingName = backing is null ? null : onto });
    }

    private async Task<ImageCommitResult> CommitAsync(string name, string format, string basis)
    {
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        await using BlockNode image = await opener.OpenAsync(PathOf(name), new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite });
        return await ImageCommitter.CommitAsync(image, BackingChain.FindByPath(image, PathOf(basis)));
    }

    private string PathOf(string name) => _folder.File(name);

    private void Copy(string from, string to) => File.Copy(PathOf(from), PathOf(to), overwrite: true);

    private void AssertSound(string name, string format)
    {
        if (format != "raw")
        {
            QemuResult check = _qemuImg.Run("check", "-f", format, PathOf(name));
            Assert.True(check.ExitCode == 0, $"{name}: {check.ExitCode}: {check.Output}{check.Error}");
        }
    }

    // One may be longer: qemu-img takes what is missing for zeroes.
    private void AssertIdentical(string left, string leftFormat, string right, string rightFormat)
        => Assert.EndsWith("Images are identical.\n", _qemuImg.RunOk("compare", "-f", leftFormat, "-F", rightFormat, PathOf(left), PathOf(right)), StringComparison.Ordinal);

    private string[] ChainOf(string name, string format)
    {
        using JsonDocument chain = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", format, PathOf(name)));
        return [.. chain.RootElement.EnumerateArray().Select(static image => $"{Path.GetFullPath(image.GetProperty("filename").GetString()!)} {image.GetProperty("format").GetString()}")];
    }

    // Bytes that the image decides itself, according to qemu-img.
    private long AllocatedBy(string name, string format)
    {
        using JsonDocument map = JsonDocument.Parse(_qemuImg.RunOk("map", "--output=json", "-f", format, PathOf(name)));
        return map.RootElement.EnumerateArray()
            .Where(static run => run.GetProperty("depth").GetInt32() == 0 && run.GetProperty("present").GetBoolean())
            .Sum(static run => run.GetProperty("length").GetInt64());
    }
}
