using System.Globalization;
using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>
/// The qcow2 images that both sides begin with: <c>active</c> over <c>middle</c> over <c>base</c>, a sibling of <c>middle</c>, another disk, and targets. Made once, copied for
/// each run.
/// </summary>
public sealed class JobImages : IDisposable
{
    internal const int Length = 2 << 20;

    private readonly TemporaryFolder _folder = new();

    /// <summary>Makes them.</summary>
    public JobImages()
    {
        Make("base", Length, null, "write -P 1 0 1M");
        Make("middle", Length, "base", "write -P 2 512k 1M", "write -z 128k 64k");
        Make("active", Length, "middle", "write -P 3 1400k 200k", "write -z 1728k 64k");
        Make("sibling", Length, "base", "write -P 4 0 64k");
        Make("other", Length, null, "write -P 5 256k 1M");
        foreach (string target in new[] { "target", "target2", "readonly" })
        {
            Make(target, Length, null);
        }

        Make("short", Length / 2, null);
        Make("long", Length * 2, null);
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    /// <summary>The file of an image in a folder.</summary>
    internal static string FileOf(string folder, string image) => Path.Combine(folder, image + ".qcow2");

    /// <summary>Copies all into a folder.</summary>
    internal void CopyTo(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(_folder.Path))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
    }

    private void Make(string name, int length, string? backing, params string[] commands)
    {
        string file = FileOf(_folder.Path, name);
        string[] over = backing is null ? [] : ["-b", backing + ".qcow2", "-F", "qcow2"];
        QemuTool.Require("qemu-img").RunOk(["create", "-q", "-f", "qcow2", .. over, file, length.ToString(CultureInfo.InvariantCulture)]);
        if (commands.Length > 0)
        {
            QemuTool.Require("qemu-io").RunOk(["-f", "qcow2", .. commands.SelectMany(static command => new[] { "-c", command }), file]);
        }
    }
}
