using System.Diagnostics;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>A qemu-storage-daemon that has a chain open and is told what to do by QMP.</summary>
internal sealed class StorageDaemon : IDisposable
{
    private readonly Process _process;

    internal StorageDaemon(KillChain chain)
    {
        _process = QemuTool.Require("qemu-storage-daemon").Start(
            "--chardev", "stdio,id=control",
            "--monitor", "chardev=control",
            "--blockdev", $"driver=file,node-name=template-file,filename={chain.Template},read-only=on",
            "--blockdev", "driver=raw,node-name=template,file=template-file,read-only=on",
            "--blockdev", $"driver=file,node-name=intermediate-file,filename={chain.PathOf("intermediate")},read-only=on",
            "--blockdev", $"driver={chain.Format},node-name=intermediate,file=intermediate-file,backing=template,read-only=on",
            "--blockdev", $"driver=file,node-name=current-file,filename={chain.Current}",
            "--blockdev", $"driver={chain.Format},node-name=current,file=current-file,backing=intermediate");
        Send("""{"execute":"qmp_capabilities"}""");
    }

    /// <summary>Streams the chain into current; returns when QEMU says that it is complete.</summary>
    /// <param name="arguments">Further arguments of block-stream, each with a comma before it.</param>
    internal void Stream(string arguments = "")
    {
        Send($$$"""{"execute":"block-stream","arguments":{"job-id":"stream","device":"current"{{{arguments}}}} }""");
        WaitFor("BLOCK_JOB_COMPLETED");
    }

    /// <summary>SIGKILL.</summary>
    internal void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>Ends it in order: everything it has open is written back and closed.</summary>
    internal void Quit()
    {
        Send("""{"execute":"quit"}""");
        _process.StandardInput.Close();
        _process.WaitForExit();
        Assert.Equal(0, _process.ExitCode);
    }

    public void Dispose()
    {
        _process.Kill(); // does nothing if it has ended
        _process.Dispose();
    }

    private void Send(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
    }

    private void WaitFor(string qmpEvent)
    {
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            Assert.DoesNotContain("\"error\"", line, StringComparison.Ordinal);
            if (line.Contains(qmpEvent, StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail($"qemu-storage-daemon ended: {_process.StandardError.ReadToEnd()}");
    }
}
