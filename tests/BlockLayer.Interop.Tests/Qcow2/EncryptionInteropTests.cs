using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Encrypted images, both ways: ours are opened, checked and compared by qemu-img, and its are read and written by us.</summary>
public sealed class EncryptionInteropTests : IDisposable
{
    private const int Length = 3000 * 512;
    private const string Secret = "correct horse";

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly Passphrase _passphrase = Passphrase.FromText(Secret);

    public static TheoryData<string, string, string> Ciphers()
    {
        string[] keys = ["aes-256", "aes-128"];
        string[] hashes = ["sha256", "sha1", "md5", "sha512", "sha384"];
        var ciphers = new TheoryData<string, string, string>();
        foreach (string chaining in (string[])["xts", "cbc", "ctr", "ecb"])
        {
            foreach (string iv in (string[])["plain64", "plain", "essiv", "essiv,encrypt.ivgen-hash-alg=md5"])
            {
                ciphers.Add(chaining, iv, $",encrypt.cipher-alg={keys[ciphers.Count % 3 % 2]},encrypt.hash-alg={hashes[ciphers.Count % hashes.Length]}");
            }
        }

        ciphers.Add("xts", "plain64", ",encrypt.cipher-alg=aes-192");
        return ciphers;
    }

    private string Image => _folder.File("disk.qcow2");

    public void Dispose()
    {
        _passphrase.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("")]
    [InlineData("encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha1,cluster_size=512")]
    [InlineData("encrypt.hash-alg=sha512,extended_l2=on")]
    public async Task An_image_we_made_and_wrote_is_theirs_too(string options)
    {
        await CreateAsync($"encrypt.format=luks,encrypt.iterations=2000,{options}");
        AssertTheySee(await WriteRandomlyAsync(new byte[Length], seed: 1));
    }

    [Theory]
    [InlineData("encrypt.format=aes,compat=0.10")]
    [InlineData("encryption=on,cluster_size=4096")]
    public async Task An_image_of_the_old_kind_that_we_made_is_theirs_too(string options)
    {
        await CreateAsync(options);
        AssertTheySee(await WriteRandomlyAsync(new byte[Length], seed: 3));
    }

    // Every mode with every way to make IVs, under keys and hashes that take turns.
    [Theory]
    [MemberData(nameof(Ciphers))]
    public async Task Each_of_us_reads_what_the_other_wrote(string chaining, string iv, string more)
    {
        await CreateAsync($"encrypt.format=luks,encrypt.iterations=1000,encrypt.cipher-mode={chaining},encrypt.ivgen-alg={iv}{more}");
        byte[] model = Pattern.Of(0, 300 * 512, writer: 1);
        await using (BlockNode node = await OpenAsync(NodeAccess.ReadWrite))
        {
            await node.WriteAsync(0, model);
        }

        Array.Resize(ref model, Length);
        AssertTheySee(model);

        const int Written = 70_000; // bytes from byte 100,000 on: parts of sectors, and three clusters, of which they allocate the last
        QemuTool.Require("qemu-io").RunOk("--object", $"secret,id=s,data={Secret}", "--image-opts", "-c", $"write -P 0xa7 100000 {Written}", Target);
        model.AsSpan(100_000, Written).Fill(0xa7);
        await using BlockNode again = await OpenAsync(NodeAccess.ReadOnly);
        byte[] found = new byte[Length];
        await again.ReadAsync(0, found);
        Assert.True(found.AsSpan().SequenceEqual(model), "we read something else");
    }

    [Theory]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10")]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256,encrypt.hash-alg=sha1")]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-192,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha384")]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=ctr,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=md5,encrypt.hash-alg=md5")]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=ecb,encrypt.ivgen-alg=plain64,encrypt.ivgen-hash-alg=sha256")]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=plain,encrypt.ivgen-hash-alg=sha1")]
    [InlineData("encrypt.format=aes,compat=0.10,cluster_size=4k")]
    public async Task An_image_they_made_and_we_wrote_is_theirs_still(string options)
    {
        byte[] model = Pattern.Of(0, Length, writer: 77);
        model.AsSpan(300_000, 200_000).Clear();
        await File.WriteAllBytesAsync(_folder.File("source.raw"), model);
        _qemuImg.RunOk("create", "--object", $"secret,id=s,data={Secret}", "-f", "qcow2", "-o", $"{options},encrypt.key-secret=s", Image, Length.ToString(CultureInfo.InvariantCulture));
        _qemuImg.RunOk("convert", "--object", $"secret,id=s,data={Secret}", "-n", "--image-opts", "--target-image-opts", $"driver=raw,file.filename={_folder.File("source.raw")}", Target);
        AssertTheySee(model);

        AssertTheySee(await WriteRandomlyAsync(model, seed: 2));
    }

    private string Target => $"driver=qcow2,file.filename={Image},encrypt.key-secret=s";

    private async ValueTask CreateAsync(string options)
    {
        var image = new NewImage
        {
            Format = "qcow2",
            Length = Length,
            Secrets = new ImageSecrets(_passphrase),
            Options = options.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]),
        };
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(Image, image, OpenPolicy.Default);
    }

    private ValueTask<BlockNode> OpenAsync(NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            Image, new ImageOpenOptions { Format = "qcow2", Access = access, Secrets = new ImageSecrets(_passphrase) });

    private async ValueTask<byte[]> WriteRandomlyAsync(byte[] model, int seed)
    {
        await using BlockNode node = await OpenAsync(NodeAccess.ReadWrite);
        return await ModelContent.ChangeRandomlyAsync(node, model, seed, mayShrink: true);
    }

    private void AssertTheySee(byte[] model)
    {
        QemuResult check = _qemuImg.Run("check", "--object", $"secret,id=s,data={Secret}", "--image-opts", Target);
        Assert.True(check.ExitCode == 0, $"qemu-img check: {check.Output}{check.Error}");
        Assert.Contains("encrypted: yes", _qemuImg.RunOk("info", Image), StringComparison.Ordinal);
        string raw = _folder.File("model.raw");
        File.WriteAllBytes(raw, model);
        _qemuImg.RunOk("compare", "--object", $"secret,id=s,data={Secret}", "--image-opts", $"driver=raw,file.filename={raw}", Target);
    }
}
