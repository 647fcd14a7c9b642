using System.Diagnostics.CodeAnalysis;

namespace BlockLayer.KillHost;

/// <summary>Lines to the parent through standard output. A line that was sent is in the pipe, and survives this process.</summary>
internal sealed class Report
{
    /// <summary>The line that asks for the kill.</summary>
    internal const string Stopped = "stopped";

    private readonly Lock _gate = new();
    private readonly StreamWriter _pipe = new(Console.OpenStandardOutput()) { AutoFlush = true, NewLine = "\n" }; // guarded by _gate

    internal void Send(string line)
    {
        lock (_gate)
        {
            _pipe.WriteLine(line);
        }
    }

    /// <summary>Holds this thread, and whoever waits for it, until the kill. The others go on. Should the parent end instead, so does this process.</summary>
    [DoesNotReturn]
    internal void Stop()
    {
        Send(Stopped);
        Console.In.ReadToEnd();
        Environment.Exit(1);
    }
}
