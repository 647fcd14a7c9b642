using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Cli.Terminal;

/// <summary>The console of this process. What a short command does not use is not set up: start-up time is most of what <c>blk info</c> costs.</summary>
internal sealed class SystemConsole : IConsole, IDisposable
{
    private readonly Lazy<TextWriter> _out = new(() => Open(descriptor: 1, Console.OpenStandardOutput));
    private readonly Lazy<TextWriter> _error = new(() => Open(descriptor: 2, Console.OpenStandardError));
    private readonly Lazy<CancellationTokenSource> _interrupted;
    private readonly List<PosixSignalRegistration> _signals = [];

    internal SystemConsole() => _interrupted = new Lazy<CancellationTokenSource>(ListenForSignals);

    public TextWriter Out => _out.Value;

    public TextWriter Error => _error.Value;

    public bool IsErrorTerminal => !Console.IsErrorRedirected;

    public int Columns => TerminalWidth.Of(descriptor: 2);

    public CancellationToken Interrupted => _interrupted.Value.Token;

    public void Flush()
    {
        if (_out.IsValueCreated)
        {
            _out.Value.Flush();
        }
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }
    }

    // A file stream over the descriptor spares the 5 ms that Console takes to start (measured). Not for a regular file: the stream would write at
    // its own position and leave the descriptor's behind, so that the next program of a shell script overwrites what this one wrote.
    private static StreamWriter Open(int descriptor, Func<Stream> openByConsole)
    {
        Stream stream;
        if (OperatingSystem.IsWindows())
        {
            stream = openByConsole();
        }
        else
        {
            var direct = new FileStream(new SafeFileHandle(descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            stream = direct.CanSeek ? openByConsole() : direct;
        }

        return new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { AutoFlush = descriptor == 2, NewLine = "\n" };
    }

    private CancellationTokenSource ListenForSignals()
    {
        var source = new CancellationTokenSource();
        foreach (PosixSignal signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM })
        {
            _signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                // The second request is not caught: somebody who asks twice wants the process gone, and every image survives that.
                context.Cancel = !source.IsCancellationRequested;
                source.Cancel();
            }));
        }

        return source;
    }
}
