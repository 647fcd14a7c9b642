using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.KillHost;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// Pulls of real files, killed by SIGKILL at every stage. Whatever the moment, qemu-img finds no corruption, the disk reads what it should, the chain is the
/// old or the new one as the stage has it, and the pull runs again to its end.
/// </summary>
public sealed class KillTests
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    public static TheoryData<string, string, bool> Stages
    {
        get
        {
            var stages = new TheoryData<string, string, bool>();
            foreach (KillPoint point in Enum.GetValues<KillPoint>().Except([KillPoint.Finishing]))
            {
                stages.Add(point.ToString(), "qcow2", false);
                stages.Add(point.ToString(), "qcow2", true);
                stages.Add(point.ToString(), "qed", false);
                stages.Add(point.ToString(), "qed", true);
            }

            return stages;
        }
    }

    [Theory]
    [MemberData(nameof(Stages))]
    public async Task Blk_killed_at_any_stage_of_a_pull_loses_nothing(string point, string format, bool stopsAtTemplate)
    {
        foreach (int writesBefore in point == nameof(KillPoint.Copying) ? [0, 3, 6] : new[] { 0 })
        {
            using KillChain chain = await KillChain.CreateAsync(format);
            string[] pull = ["pull", chain.Current, .. stopsAtTemplate ? ["--base", chain.Template] : Array.Empty<string>()];
            KilledProcess.Run("BlockLayer.KillHost", [point, $"{writesBefore}", chain.Current, "blk", .. pull], process => process.StandardOutput, IsStopped);

            Assert.Equal(IsBeforeSwitch(point) ? KillChain.Before : After(stopsAtTemplate), await ReadChainAsync(chain));
            await AssertSoundAndRerunsAsync(chain, chain.Expected, stopsAtTemplate);
        }
    }

    [Theory]
    [MemberData(nameof(Stages))]
    public async Task Every_flush_that_a_guest_was_told_of_is_there_after_a_kill(string point, string format, bool stopsAtTemplate)
    {
        foreach (int writesBefore in point == nameof(KillPoint.Copying) ? [50, 60, 70, 80, 100, 120] : new[] { 0 })
        {
            using KillChain chain = await KillChain.CreateAsync(format);
            string[] guest = ["guest", $"{writesBefore + 1}", "pull", .. stopsAtTemplate ? [chain.Template] : Array.Empty<string>()];
            List<string> lines = KilledProcess.Run(
                "BlockLayer.KillHost", [point, $"{writesBefore}", chain.Current, .. guest], process => process.StandardOutput, IsStopped);

            var report = new GuestReport(chain.Content, lines);
            Assert.True(report is { Writes: > 20, Flushes: > 1 }, $"{report.Writes} writes and {report.Flushes} flushes prove little");
            string[] names = await ReadChainAsync(chain);
            bool mayBeBefore = IsBeforeSwitch(point) && !lines.Contains(GuestRun.Told); // on a slow disk the pull may be ahead of a late write
            Assert.True(names.SequenceEqual(After(stopsAtTemplate)) || (mayBeBefore && names.SequenceEqual(KillChain.Before)), string.Join(" -> ", names));
            string found = chain.PathOf("found");
            _qemuImg.RunOk("convert", "-f", format, "-O", "raw", chain.Current, found);
            report.Check(await File.ReadAllBytesAsync(found));
            await AssertSoundAndRerunsAsync(chain, found, stopsAtTemplate);
        }
    }

    // The program as it is, killed when it says how far it is.
    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qed", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", true)]
    public async Task Unmodified_blk_killed_while_it_copies_loses_nothing(string format, bool stopsAtTemplate)
    {
        foreach (int reports in new[] { 1, 2, 3 })
        {
            using KillChain chain = await KillChain.CreateAsync(format);
            int progress = 0;
            KilledProcess.Run(
                "blk",
                ["pull", chain.Current, "--progress", "--bandwidth", "1M", .. stopsAtTemplate ? ["--base", chain.Template] : Array.Empty<string>()],
                process => process.StandardError,
                line => line.Contains('%', StringComparison.Ordinal) && ++progress == reports);
            await AssertSoundAndRerunsAsync(chain, chain.Expected, stopsAtTemplate);
        }
    }

    private static bool IsStopped(string line) => line == Report.Stopped;

    // What was written before a SIGKILL is in the page cache: a header that was changed is the header.
    private static bool IsBeforeSwitch(string point) => point is nameof(KillPoint.Copying) or nameof(KillPoint.BeforeSwitch);

    private static string[] After(bool stopsAtTemplate) => stopsAtTemplate ? ["current", "template"] : ["current"];

    private static async Task<string[]> ReadChainAsync(KillChain chain)
    {
        await using Disk disk = await Disk.OpenAsync(chain.Current, new DiskOptions { Access = NodeAccess.ReadOnly });
        return [.. disk.Chain.Select(static image => Path.GetFileName(image.Path)!)];
    }

    private async Task AssertSoundAndRerunsAsync(KillChain chain, string expected, bool stopsAtTemplate)
    {
        AssertSound(chain, expected);
        using var blk = new BlkRun();
        string said = await blk.SucceedAsync(["pull", chain.Current, .. stopsAtTemplate ? ["--base", chain.Template] : Array.Empty<string>()]);
        Assert.Contains("The chain is now", said, StringComparison.Ordinal);
        Assert.Equal(After(stopsAtTemplate), await ReadChainAsync(chain));
        AssertSound(chain, expected);
    }

    private void AssertSound(KillChain chain, string expected)
    {
        QemuResult check = _qemuImg.Run("check", "-f", chain.Format, chain.Current);
        Assert.True(check.ExitCode is 0 or 3, $"{check.ExitCode}: {check.Output}{check.Error}"); // 3: leaked clusters
        Assert.Equal("Images are identical.\n", _qemuImg.RunOk("compare", "-f", "raw", "-F", chain.Format, expected, chain.Current));
    }
}
