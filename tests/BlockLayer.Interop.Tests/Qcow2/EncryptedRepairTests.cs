using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Copies that a repair makes of encrypted clusters: what they decrypt to may depend on where they lie.</summary>
public sealed class EncryptedRepairTests : IDisposable
{
    private const int Length = 2 << 20;
    private const string Secret = "0123456789abcdef";

    private readonly Passphrase _passphrase = Passphrase.FromText(Secret);

    public void Dispose() => _passphrase.Dispose();

    [Theory]
    [InlineData("encrypt.format=luks,encrypt.iter-time=10")]
    [InlineData("encrypt.format=aes,compat=0.10")]
    public async Task Copies_decrypt_to_what_was_read_before(string options)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("secret.qcow2");
        string source = folder.File("source.raw");
        string secret = $"secret,id=s,data={Secret}";
        File.WriteAllBytes(source, Pattern.Of(0, Length, writer: 5));
        QemuTool img = QemuTool.Require("qemu-img");
        string image = $"driver=qcow2,file.filename={path},encrypt.key-secret=s";
        img.RunOk("create", "-q", "--object", secret, "-f", "qcow2", "-o", $"{options},encrypt.key-secret=s", path, Length.ToString(CultureInfo.InvariantCulture));
        img.RunOk("convert", "--object", secret, "-n", "--image-opts", "--target-image-opts", $"driver=raw,file.filename={source}", image);
        DamagedImage damaged = new(File.ReadAllBytes(path));
        Damage.Apply("L2 entry: another one's cluster", damaged);
        File.WriteAllBytes(path, damaged.File);

        byte[] before = await ReadAsync(path);
        await using (BlockNode node = await OpenAsync(path, NodeAccess.ReadWrite, OpenPurpose.Repair))
        {
            ImageRepairReport report = await ImageChecker.RepairAsync(node, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        }

        Assert.Equal(before, await ReadAsync(path));
        img.RunOk("check", "-q", "--object", secret, "--image-opts", image);
    }

    private async Task<byte[]> ReadAsync(string path)
    {
        await using BlockNode node = await OpenAsync(path, NodeAccess.ReadOnly, OpenPurpose.Use);
        byte[] content = new byte[Length];
        await node.ReadAsync(0, content);
        return content;
    }

    private ValueTask<BlockNode> OpenAsync(string path, NodeAccess access, OpenPurpose purpose)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            path,
            new ImageOpenOptions { Format = "qcow2", Access = access, Purpose = purpose, Secrets = new ImageSecrets(_passphrase) });
}
