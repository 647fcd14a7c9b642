using System.Globalization;
using System.Text.Json;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>A chain that qemu-img made and qemu-io filled, oldest image first, and what qemu-img read from it.</summary>
internal sealed class QemuChain
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private readonly QemuImage[] _images;
    private readonly TemporaryFolder _folder;

    internal QemuChain(TemporaryFolder folder, params QemuImage[] images)
    {
        _folder = folder;
        _images = images;
        for (int i = 0; i < images.Length; i++)
        {
            Create(images[i], i == 0 ? null : images[i - 1]);
            Fill(images[i], level: i);
        }

        _qemuImg.RunOk("convert", "-f", Top.Format, "-O", "raw", PathOf(Top), Flattened);
    }

    internal string Current => PathOf(Top);

    internal string Template => PathOf(_images[0]);

    /// <summary>What the disk reads, as a raw image.</summary>
    internal string Flattened => _folder.File("flattened");

    private QemuImage Top => _images[^1];

    /// <summary>Gives what the disk reads another name, where another chain of the folder does not replace it.</summary>
    internal void KeepFlattenedAs(string name) => File.Move(Flattened, _folder.File(name));

    /// <summary>qemu-img finds nothing wrong with current, not even a leak, and reads from it what it has to hold.</summary>
    internal void AssertCheckedAndIdentical()
    {
        QemuResult check = _qemuImg.Run("check", "-f", Top.Format, Current);
        Assert.True(check.ExitCode == 0, $"{check.ExitCode}: {check.Output}{check.Error}");
        Assert.Equal("Images are identical.\n", _qemuImg.RunOk("compare", "-f", "raw", "-F", Top.Format, Flattened, Current));
    }

    /// <summary>What qemu-img finds when it follows the chain by the names and formats in the headers, newest first: path and format.</summary>
    internal string[] FollowWithQemu() => FollowWithQemu(Current, Top.Format);

    /// <summary>The same from another image.</summary>
    internal string[] FollowWithQemu(string path, string format)
    {
        using JsonDocument chain = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", format, path));
        return [.. chain.RootElement.EnumerateArray().Select(static image =>
            $"{Path.GetFullPath(image.GetProperty("filename").GetString()!)} {image.GetProperty("format").GetString()}")];
    }

    /// <summary>What <see cref="FollowWithQemu()"/> answers for these images.</summary>
    internal string[] Expect(params QemuImage[] newestFirst) => [.. newestFirst.Select(image => $"{PathOf(image)} {image.Format}")];

    /// <summary>Writes something with qemu-io, both to current and to what it is compared with.</summary>
    internal void WriteWithQemu(string command)
    {
        _qemuIo.RunOk("-f", Top.Format, "-c", command, Current);
        _qemuIo.RunOk("-f", "raw", "-c", command, Flattened);
    }

    private string PathOf(QemuImage image) => _folder.File(image.Path);

    private void Create(QemuImage image, QemuImage? backing)
    {
        string path = PathOf(image);
        string directory = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(directory);
        var arguments = new List<string> { "create", "-q", "-f", image.Format };
        if (image.Options.Length > 0)
        {
            arguments.AddRange(["-o", image.Options]);
        }

        if (backing is not null)
        {
            arguments.AddRange(["-b", Path.GetRelativePath(directory, PathOf(backing)), "-F", backing.Format]);
        }

        _qemuImg.RunOk([.. arguments, path, image.Length.ToString(CultureInfo.InvariantCulture)]);
    }

    // Data and zeroes at places of its own for each image; the oldest is filled for the most part.
    private void Fill(QemuImage image, int level)
    {
        int unit = image.Length / 64 / 512 * 512;
        int pattern = 16 * (level + 1);
        string[] commands = level == 0
            ? [$"write -P {pattern} 0 {unit * 30}", $"write -P {pattern + 1} {unit * 40} {unit * 24}"]
            :
            [
                $"write -P {pattern} {unit * (4 + level)} {unit * 7}",
                $"write -z {unit * (20 + (4 * level))} {unit * 3}",
                $"write -P {pattern + 1} {unit * 47} 512",
                $"write -P {pattern + 2} {unit * (51 + level)} {unit * 9}",
            ];
        _qemuIo.RunOk([.. new[] { "-f", image.Format }, .. commands.SelectMany(static command => new[] { "-c", command }), PathOf(image)]);
    }
}
