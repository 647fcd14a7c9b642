using System.Text.Json;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Carries out a script on QEMU's jobs and then on ours, over copies of the same images, and compares what was seen and what the images hold.</summary>
internal sealed class BothSides(JobImages images)
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    /// <summary>Images that are opened besides the disk.</summary>
    internal string[] Opened { get; init; } = [];

    /// <summary>Images that have to be the same afterwards.</summary>
    internal string[] Results { get; init; } = ["active"];

    /// <summary>Bytes that can still be written; null: enough.</summary>
    internal int? Room { get; init; }

    internal Task RunAsync(Func<JobSide, Task> script) => RunAsync((side, _) => script(side));

    internal async Task RunAsync(Func<JobSide, JobFolder, Task> script)
    {
        using JobFolder theirs = NewFolder();
        using JobFolder ours = NewFolder();
        List<string> theirTranscript = await RunAsync(await QemuSide.OpenAsync(theirs.Path, Opened), theirs, script);
        List<string> ourTranscript = await RunAsync(await OurSide.OpenAsync(ours.Path, Opened), ours, script);
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join('\n', theirTranscript));
        Assert.Equal(theirTranscript, ourTranscript);
        foreach (string image in Results)
        {
            AssertSame(JobImages.FileOf(theirs.Path, image), JobImages.FileOf(ours.Path, image));
        }
    }

    private static async Task<List<string>> RunAsync(JobSide side, JobFolder folder, Func<JobSide, JobFolder, Task> script)
    {
        await using (side)
        {
            await script(side, folder);
            folder.MakeRoom(); // it writes back what is left when it is closed
        }

        return side.Transcript;
    }

    private JobFolder NewFolder() => Room is { } bytes ? JobFolder.NearlyFull(images, bytes) : JobFolder.Roomy(images);

    private void AssertSame(string theirs, string ours)
    {
        foreach (string image in new[] { theirs, ours })
        {
            QemuResult check = _qemuImg.Run("check", "-f", "qcow2", image);
            Assert.True(check.ExitCode == 0, $"{image}: {check.Output}{check.Error}");
        }

        Assert.Equal(ChainOf(theirs), ChainOf(ours));
        Assert.Equal("Images are identical.\n", _qemuImg.RunOk("compare", "-f", "qcow2", "-F", "qcow2", theirs, ours));
    }

    // File and format of each image, as QEMU finds them. QEMU's jobs record where a backing file is; ours go on relative to the image where its name was relative before, so
    // only where a name leads is compared.
    private string[] ChainOf(string image)
    {
        using JsonDocument chain = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", "qcow2", image));
        return [.. chain.RootElement.EnumerateArray().Select(static found =>
            $"{Path.GetFileName(found.GetProperty("filename").GetString())} {found.GetProperty("format")} {found.GetProperty("virtual-size")}")];
    }
}
