using System.Text.Json;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>Holds what a killed job left against what was promised, with QEMU's own programs.</summary>
internal sealed class KillVerdict(QemuTool qemuImg)
{
    /// <summary>
    /// The disk holds what its guests were promised, its chain leads where it should, no image of it is corrupt; and when the job is done again, all of that is still so and the
    /// disk reads the same.
    /// </summary>
    internal async Task AssertKeptAsync(KilledJob killed)
    {
        string found = killed.Chain.PathOf("found");
        AssertSound(killed);
        qemuImg.RunOk("convert", "-f", killed.TopFormat, "-O", "raw", killed.Top, found);
        killed.Report.Check(await File.ReadAllBytesAsync(found));

        await killed.RunAgainAsync();
        AssertSound(killed);
        Assert.Equal("Images are identical.\n", qemuImg.RunOk("compare", "-f", "raw", "-F", killed.TopFormat, found, killed.Top));
    }

    private void AssertSound(KilledJob killed)
    {
        using JsonDocument chain = JsonDocument.Parse(qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", killed.TopFormat, killed.Top));
        Assert.Equal(killed.Files, chain.RootElement.EnumerateArray().Select(static image => Path.GetFullPath(image.GetProperty("filename").GetString()!)));
        foreach (string file in killed.Files)
        {
            QemuResult check = qemuImg.Run("check", "-f", file == killed.Chain.Template ? killed.Chain.TemplateFormat : killed.Chain.Format, file);
            Assert.True(check.ExitCode is 0 or 3, $"{file}: {check.ExitCode}: {check.Output}{check.Error}"); // 3: leaked clusters
        }
    }
}
