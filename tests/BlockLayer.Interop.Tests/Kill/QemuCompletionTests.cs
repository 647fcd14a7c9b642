using System.Diagnostics;
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
    private readonly QemuTool _daemon = QemuTool.Require("qemu-storage-daemon");

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Killed_when_success_is_told_ours_keeps_the_disk_where_qemu_may_lose_it(string format)
    {
        using (KillChain theirs = await KillChain.CreateAsync(format))
        {
            StreamAndKill(theirs);
            QemuResult compared = Compare(theirs);
            TestContext.Current.TestOutputHelper?.WriteLine(
                $"qemu-storage-daemon, {format}, killed at BLOCK_JOB_COMPLETED: {(compared.ExitCode == 0 ? "kept the disk" : "LOST the disk")}: {compared.Output.Trim()}{compared.Error.Trim()}");
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

    private void StreamAndKill(KillChain chain)
    {
        using Process daemon = _daemon.Start(
            "--chardev", "stdio,id=control",
            "--monitor", "chardev=control",
            "--blockdev", $"driver=file,node-name=template-file,filename={chain.Template},read-only=on",
            "--blockdev", "driver=raw,node-name=template,file=template-file,read-only=on",
            "--blockdev", $"driver=file,node-name=intermediate-file,filename={chain.PathOf("intermediate")},read-only=on",
            "--blockdev", $"driver={chain.Format},node-name=intermediate,file=intermediate-file,backing=template,read-only=on",
            "--blockdev", $"driver=file,node-name=current-file,filename={chain.Current}",
            "--blockdev", $"driver={chain.Format},node-name=current,file=current-file,backing=intermediate");
        daemon.StandardInput.WriteLine("""{"execute":"qmp_capabilities"}""");
        daemon.StandardInput.WriteLine("""{"execute":"block-stream","arguments":{"job-id":"stream","device":"current"}}""");
        daemon.StandardInput.Flush();
        string? line;
        do
        {
            line = daemon.StandardOutput.ReadLine();
        }
        while (line?.Contains("BLOCK_JOB_COMPLETED", StringComparison.Ordinal) == false && !line.Contains("\"error\"", StringComparison.Ordinal));
        daemon.Kill(); // SIGKILL
        daemon.WaitForExit();
        Assert.True(line?.Contains("BLOCK_JOB_COMPLETED", StringComparison.Ordinal), $"block-stream: {line} {daemon.StandardError.ReadToEnd()}");
    }
}
