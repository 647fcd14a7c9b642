using BlockLayer.KillHost;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// The flagship difference. QEMU tells BLOCK_JOB_COMPLETED before the tables of a streamed qcow2 image are written; killed at that moment, the image has no
/// backing file any more and lacks what was copied. Ours tells success when it is durable.
/// </summary>
public sealed class QemuCompletionTests
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Killed_when_success_is_told_ours_keeps_the_disk_where_qemu_may_lose_it(string format)
    {
        using (KillChain theirs = await KillChain.CreateAsync(format))
        {
            using var daemon = new StorageDaemon(theirs);
            daemon.Stream();
            daemon.Kill();
            QemuResult compared = Compare(theirs);
            string fate = compared.ExitCode == 0 ? "kept the disk" : "LOST the disk";
            TestContext.Current.TestOutputHelper?.WriteLine(
                $"qemu-storage-daemon, {format}, killed at BLOCK_JOB_COMPLETED: {fate}: {compared.Output.Trim()}{compared.Error.Trim()}");
        }

        using KillChain ours = await KillChain.CreateAsync(format);
        KilledProcess.Run(
            "BlockLayer.KillHost",
            [nameof(KillPoint.AfterSuccess), "0", ours.Current, "blk", "pull", ours.Current],
            process => process.StandardOutput,
            line => line == Report.Stopped);
        File.Delete(ours.PathOf("intermediate"));
        File.Delete(ours.Template);
        Assert.Equal("Images are identical.\n", Compare(ours).Output);
    }

    private QemuResult Compare(KillChain chain) => _qemuImg.Run("compare", "-f", "raw", "-F", chain.Format, chain.Expected, chain.Current);
}
