using System.Text;
using BlockLayer.Cli.Terminal;

namespace BlockLayer.KillHost;

/// <summary>Gives each line of a command's result to a callback as soon as it is printed.</summary>
internal sealed class HostConsole(Action<string> onLine) : IConsole
{
    public TextWriter Out { get; } = new LineWriter(onLine);

    public TextWriter Error => Console.Error;

    public bool IsErrorTerminal => false;

    public int Columns => 80;

    public CancellationToken Interrupted => CancellationToken.None;

    public void Flush() => Out.Flush();

    private sealed class LineWriter(Action<string> onLine) : TextWriter
    {
        private readonly StringBuilder _line = new();

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value)
        {
            if (value != '\n')
            {
                _line.Append(value);
                return;
            }

            string line = _line.ToString();
            _line.Clear();
            onLine(line);
        }
    }
}
