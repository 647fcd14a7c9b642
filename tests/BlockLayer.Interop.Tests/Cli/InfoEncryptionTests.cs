using System.Text.Json;
using System.Text.Json.Nodes;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary><c>blk info</c> of encrypted images says of the encryption what qemu-img says, in JSON to the last field and in text line by line.</summary>
public sealed class InfoEncryptionTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Theory]
    [InlineData("encrypt.format=luks,encrypt.iterations=1000")]
    [InlineData("encrypt.format=luks,encrypt.iterations=9000,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha1")]
    [InlineData("encrypt.format=luks,encrypt.iterations=1000,encrypt.cipher-mode=ctr,encrypt.ivgen-alg=plain,encrypt.ivgen-hash-alg=md5,encrypt.hash-alg=sha512")]
    [InlineData("encrypt.format=aes")]
    public async Task Our_images(string options)
    {
        await File.WriteAllTextAsync(_blk.Folder.File("secret"), "correct horse");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-o", options, "--passphrase-file", "@secret", "@disk", "1M");
        await AssertSameAsync();
    }

    // Ciphers that are not implemented here can be told all the same.
    [Theory]
    [InlineData("serpent-256", "xts")]
    [InlineData("cast5-128", "cbc")]
    public async Task Their_images(string cipher, string chaining)
    {
        QemuTool.Require("qemu-img").RunOk(
            "create", "-q", "--object", "secret,id=s,data=abc", "-f", "qcow2", "-o", $"encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,encrypt.cipher-alg={cipher},encrypt.cipher-mode={chaining}", _blk.Folder.File("disk"), "1M");
        await AssertSameAsync();

        await File.WriteAllTextAsync(_blk.Folder.File("secret"), "abc");
        BlkRun.Outcome opened = await _blk.RunAsync("convert", "-f", "qcow2", "-O", "raw", "--passphrase-file", "@secret", "@disk", "@copy");
        Assert.Contains($"cipher-name of the LUKS header is \"{cipher.Split('-')[0]}\" at byte 8 of it; implemented are aes.", opened.Error, StringComparison.Ordinal);
    }

    private async Task AssertSameAsync()
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        string image = _blk.Folder.File("disk");
        JsonNode theirs = Parse(qemuImg.RunOk("info", "--output=json", image));
        JsonNode ours = Parse(await _blk.SucceedAsync("info", "--output", "json", "@disk"));
        Assert.True(JsonNode.DeepEquals(theirs, ours), $"theirs:\n{theirs}\nours:\n{ours}");
        Assert.Equal(SpecificLines(qemuImg.RunOk("info", image)), SpecificLines(await _blk.SucceedAsync("info", "@disk")));
    }

    private static JsonNode Parse(string info)
        => JsonNode.Parse(info)!["format-specific"]!["data"]!["encrypt"] ?? throw new JsonException($"no format-specific.data.encrypt in {info}");

    // QEMU shows a group in no order of its own.
    private static IEnumerable<string> SpecificLines(string info)
        => info.Split('\n').SkipWhile(static line => line != "Format specific information:").Skip(1).TakeWhile(static line => line.StartsWith(' ')).Order(StringComparer.Ordinal);
}
