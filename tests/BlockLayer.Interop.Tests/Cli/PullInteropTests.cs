using System.Text.Json.Nodes;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary>Chains made by qemu-img and qemu-io, pulled by us, and judged by qemu-img.</summary>
public sealed class PullInteropTests : IDisposable
{
    private readonly BlkRun _blk = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");

    [Theory]
    [InlineData("qcow2", "qcow2")]
    [InlineData("qcow2", "raw")]
    [InlineData("qed", "qed")]
    [InlineData("qed", "raw")]
    public async Task After_a_pull_to_the_base_qemu_img_sees_the_shorter_chain_with_the_same_bytes(string format, string templateFormat)
    {
        MakeChain(format, templateFormat);
        await _blk.SucceedAsync("pull", "@current", "--base", "@template");
        JsonArray chain = JsonNode.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", File("current")))!.AsArray();
        Assert.Equal([File("current"), File("template")], chain.Select(image => (string)image!["filename"]!));
        Assert.Equal("template", (string)chain[0]!["backing-filename"]!);
        Assert.Equal(templateFormat, (string)chain[1]!["format"]!);
        Judge(format);
    }

    [Theory]
    [InlineData("qcow2", "raw")]
    [InlineData("qed", "qed")]
    public async Task After_a_pull_of_everything_qemu_img_needs_no_other_file(string format, string templateFormat)
    {
        MakeChain(format, templateFormat);
        await _blk.SucceedAsync("pull", "@current");
        System.IO.File.Delete(File("template"));
        System.IO.File.Delete(File("intermediate"));
        Judge(format);
    }

    public void Dispose() => _blk.Dispose();

    private string File(string name) => _blk.Folder.File(name);

    private void MakeChain(string format, string templateFormat)
    {
        _qemuImg.RunOk("create", "-q", "-f", templateFormat, File("template"), "8M");
        _qemuIo.RunOk("-f", templateFormat, "-c", "write -P 1 0 3M", File("template"));
        Overlay("intermediate", "template", templateFormat, "12M");
        _qemuIo.RunOk("-f", format, "-c", "write -P 2 1M 1M", "-c", "write -z 2M 512k", "-c", "write -P 3 9M 100k", File("intermediate"));
        Overlay("current", "intermediate", format, "12M");
        _qemuIo.RunOk("-f", format, "-c", "write -P 4 1500k 3k", File("current"));
        _qemuImg.RunOk("convert", "-f", format, "-O", "raw", File("current"), File("before.raw"));

        void Overlay(string name, string backing, string backingFormat, string size)
            => _qemuImg.RunOk("create", "-q", "-f", format, "-b", backing, "-F", backingFormat, File(name), size);
    }

    private void Judge(string format)
    {
        _qemuImg.RunOk("compare", "-f", "raw", "-F", format, File("before.raw"), File("current"));
        _qemuImg.RunOk("check", "-f", format, File("current"));
    }
}
