using BlockLayer.Cli.Terminal;

namespace BlockLayer.Tests.Cli;

/// <summary>A console that remembers what is written to it.</summary>
internal sealed class RecordingConsole : IConsole, IDisposable
{
    private readonly CancellationTokenSource _interrupted = new();

    public TextWriter Out { get; } = new StringWriter { NewLine = "\n" };

    public TextWriter Error { get; init; } = new StringWriter { NewLine = "\n" };

    public bool IsErrorTerminal { get; init; }

    public CancellationToken Interrupted => _interrupted.Token;

    internal void Interrupt() => _interrupted.Cancel();

    public void Dispose() => _interrupted.Dispose();
}
