using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Every command goes through the one door: none of them opens what an image names elsewhere, with a format given or without.</summary>
public sealed class KnownAttackCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly WatchedFiles _files = new(LocalStorageProvider.Instance);

    private string Image => _folder.File("d/image");

    private string Secret => _folder.File("secret");

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        _folder.Dispose();
    }

    [Theory]
    [InlineData("info", "IMAGE")]
    [InlineData("info", "--backing-chain", "IMAGE")]
    [InlineData("inspect", "IMAGE")]
    [InlineData("map", "IMAGE")]
    [InlineData("check", "IMAGE")]
    [InlineData("check", "-r", "all", "IMAGE")]
    [InlineData("compare", "IMAGE", "IMAGE")]
    [InlineData("convert", "-O", "raw", "IMAGE", "OTHER")]
    [InlineData("create", "-f", "qcow2", "-b", "IMAGE", "-F", "qcow2", "OTHER")]
    [InlineData("resize", "IMAGE", "+1M")]
    [InlineData("amend", "-o", "lazy_refcounts=on", "IMAGE")]
    [InlineData("snapshot", "list", "IMAGE")]
    [InlineData("snapshot", "create", "IMAGE", "one")]
    [InlineData("bitmap", "list", "IMAGE")]
    [InlineData("bitmap", "add", "IMAGE", "one")]
    [InlineData("pull", "IMAGE")]
    [InlineData("mirror", "IMAGE", "raw:OTHER")]
    [CorpusCase("1 CVE-2024-40767, CVE-2024-44082, CVE-2026-24708")]
    public async Task No_command_opens_what_an_image_names_elsewhere(params string[] command)
    {
        Directory.CreateDirectory(_folder.File("d"));
        byte[] secret = Pattern.Of(0, 100 << 10, writer: 5);
        await File.WriteAllBytesAsync(Secret, secret);
        foreach (byte[] image in new[] { Sound.WithDataFile(Secret), Sound.WithDataFile("../secret"), Sound.WithBacking(Secret, "raw"), Sound.WithBacking("../secret", null) })
        {
            foreach (string[] format in new string[][] { [], ["-f", "qcow2"] })
            {
                await File.WriteAllBytesAsync(Image, image);
                string[] arguments = [command[0], .. command[0] is "create" or "snapshot" or "bitmap" ? [] : format, .. command[1..].Select(Place)];
                using var console = new RecordingConsole();
                int code = await BlkProgram.RunAsync(arguments, console, BlockEnvironment.Default with { Files = _files });
                Assert.True(_files.Opened.TrueForAll(path => Path.GetFullPath(path) != Secret), $"{string.Join(' ', arguments)} opened it");
                Assert.True(code != ExitCode.Success || !File.Exists(_folder.File("d/other")) || command[0] == "create", $"{string.Join(' ', arguments)} made something of it");
                File.Delete(_folder.File("d/other"));
            }
        }

        Assert.Equal(secret, await File.ReadAllBytesAsync(Secret));

        string Place(string argument) => argument.Replace("IMAGE", Image, StringComparison.Ordinal).Replace("OTHER", _folder.File("d/other"), StringComparison.Ordinal);
    }
}
