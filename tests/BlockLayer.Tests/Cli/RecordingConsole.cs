using BlockLayer.Cli.Terminal;

namespace BlockLayer.Tests.Cli;

/// <summary>A console that remembers what is written to it, and can act on what it sees.</summary>
internal sealed class RecordingConsole : IConsole, IDisposable
{
    private readonly CancellationTokenSource _interrupted = new();

    internal RecordingConsole() => Error = new WatchedWriter(this);

    public TextWriter Out { get; init; } = new StringWriter { NewLine = "\n" };

    public TextWriter Error { get; }

    public bool IsErrorTerminal { get; init; }

    public int Columns => 80;

    public CancellationToken Interrupted => _interrupted.Token;

    /// <summary>Called with every line that is written to <see cref="Error"/>, before the writer goes on.</summary>
    internal Action<string?>? OnErrorLine { get; set; }

    internal void Interrupt() => _interrupted.Cancel();

    public void Flush() => Out.Flush();

    public void Dispose() => _interrupted.Dispose();

    private sealed class WatchedWriter : StringWriter
    {
        private readonly RecordingConsole _console;

        internal WatchedWriter(RecordingConsole console)
        {
            _console = console;
            NewLine = "\n";
        }

        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            _console.OnErrorLine?.Invoke(value);
        }
    }
}
