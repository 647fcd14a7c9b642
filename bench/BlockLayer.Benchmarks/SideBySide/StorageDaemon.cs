using System.Diagnostics;
using System.Net.Sockets;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>A qemu-storage-daemon that is told what to do in QMP over a unix socket.</summary>
internal sealed class StorageDaemon : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;

    private StorageDaemon(Process process, NetworkStream connection)
    {
        _process = process;
        _reader = new StreamReader(connection);
        _writer = new StreamWriter(connection) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Starts one with these block devices open, and the talk with it.</summary>
    /// <param name="directory">Where its socket goes.</param>
    /// <param name="blockDevices">An argument of <c>--blockdev</c> each.</param>
    internal static async Task<StorageDaemon> StartAsync(string directory, params string[] blockDevices)
    {
        string path = Path.Combine(directory, "qmp");
        File.Delete(path);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path)); // it connects to us, so nobody has to wait until it listens
        listener.Listen();
        string[] control = ["--chardev", $"socket,id=qmp,path={path}", "--monitor", "chardev=qmp"];
        Process process = Process.Start("qemu-storage-daemon", [.. control, .. blockDevices.SelectMany(static device => new[] { "--blockdev", device })]);
        Task ended = process.WaitForExitAsync();
        Task<Socket> accepted = listener.AcceptAsync();
        if (await Task.WhenAny(accepted, ended) == ended)
        {
            throw new InvalidOperationException($"qemu-storage-daemon ended with {process.ExitCode} before it could be talked to");
        }

        var daemon = new StorageDaemon(process, new NetworkStream(await accepted, ownsSocket: true));
        await daemon.ExecuteAsync("""{"execute":"qmp_capabilities"}""");
        await daemon.WaitForAsync("return");
        return daemon;
    }

    /// <summary>Streams the whole backing chain of a qcow2 overlay into it and returns the seconds from the command to the completion event.</summary>
    /// <exception cref="InvalidOperationException">The daemon reported an error or ended early.</exception>
    internal static async Task<double> StreamAsync(string overlay)
    {
        await using StorageDaemon daemon = await StartAsync(Path.GetDirectoryName(overlay)!, $"driver=qcow2,node-name=top,file.driver=file,file.filename={overlay}");
        return await Measure.TimeAsync(async () =>
        {
            await daemon.ExecuteAsync("""{"execute":"block-stream","arguments":{"job-id":"pull","device":"top"}}""");
            await daemon.WaitForAsync("BLOCK_JOB_COMPLETED");
        });
    }

    /// <summary>Sends a command; its answer is read on the way to the next thing waited for.</summary>
    internal Task ExecuteAsync(string command) => _writer.WriteLineAsync(command);

    /// <summary>Reads up to an answer or event that has this name.</summary>
    /// <exception cref="InvalidOperationException">The daemon reported an error or ended.</exception>
    internal async Task WaitForAsync(string word)
    {
        while (await _reader.ReadLineAsync() is { } line)
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

    /// <summary>Lets it write everything back and end.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await ExecuteAsync("""{"execute":"quit"}"""); // what it says to that, and whether it hangs up before, is of no matter
        }

        await _process.WaitForExitAsync();
        _process.Dispose();
        await _reader.BaseStream.DisposeAsync();
    }
}
