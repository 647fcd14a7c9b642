using System.Diagnostics;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>A qemu-storage-daemon that is told what to do over its standard input, in QMP.</summary>
internal static class StorageDaemon
{
    /// <summary>Streams the whole backing chain of a qcow2 overlay into it and returns the seconds from the command to the completion event.</summary>
    /// <exception cref="InvalidOperationException">The daemon reported an error or ended early.</exception>
    internal static async Task<double> StreamAsync(string overlay)
    {
        var start = new ProcessStartInfo(
            "qemu-storage-daemon",
            ["--chardev", "stdio,id=qmp", "--monitor", "chardev=qmp", "--blockdev", $"driver=qcow2,node-name=top,file.driver=file,file.filename={overlay}"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process daemon = Process.Start(start) ?? throw new InvalidOperationException("qemu-storage-daemon did not start");
        await daemon.StandardInput.WriteLineAsync("""{"execute":"qmp_capabilities"}""");
        await WaitForAsync(daemon, "return");
        long began = Stopwatch.GetTimestamp();
        await daemon.StandardInput.WriteLineAsync("""{"execute":"block-stream","arguments":{"job-id":"pull","device":"top"}}""");
        await WaitForAsync(daemon, "BLOCK_JOB_COMPLETED");
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        await daemon.StandardInput.WriteLineAsync("""{"execute":"quit"}""");
        await daemon.StandardOutput.ReadToEndAsync();
        await daemon.WaitForExitAsync();
        return seconds;
    }

    private static async Task WaitForAsync(Process daemon, string word)
    {
        while (await daemon.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.Contains("\"error\"", StringComparison.Ordinal))
            {
                throw new InvalidOperationException($"qemu-storage-daemon: {line}");
            }

            if (line.Contains($"\"{word}\"", StringComparison.Ordinal))
            {
                return;
            }
        }

        throw new InvalidOperationException($"qemu-storage-daemon ended before it sent {word}");
    }
}
