using System.Globalization;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Terminal;

/// <summary>
/// Shows how far something is: a bar that is redrawn in place when somebody watches, a plain line for every tenth otherwise. Nothing is drawn
/// in the first half second, so that quick work stays quiet. A bar keeps to one line of the terminal, because a line that wraps cannot be redrawn.
/// </summary>
internal sealed class ProgressLine : IProgress<ByteProgress>, IDisposable
{
    private const int BarWidth = 20;

    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_redraw = TimeSpan.FromMilliseconds(100);

    private readonly TextWriter _writer;
    private readonly TimeProvider _time;
    private readonly ProgressStyle _style;
    private readonly Func<int> _columns;
    private readonly long _started;
    private readonly Lock _gate = new();
    private TimeSpan _nextDraw = s_quiet; // guarded by _gate
    private long _firstDone = -1;         // guarded by _gate: what was there already does not count as speed
    private int _lastTenth = -1;          // guarded by _gate
    private bool _drawn;                  // guarded by _gate

    internal ProgressLine(TextWriter writer, TimeProvider time, ProgressStyle style, Func<int> columns)
    {
        _writer = writer;
        _time = time;
        _style = style;
        _columns = columns;
        _started = time.GetTimestamp();
    }

    public void Report(ByteProgress value)
    {
        lock (_gate)
        {
            TimeSpan elapsed = _time.GetElapsedTime(_started);
            _firstDone = _firstDone < 0 ? value.Done : _firstDone;
            if (_style == ProgressStyle.Bar && elapsed >= _nextDraw)
            {
                _nextDraw = elapsed + s_redraw;
                _drawn = true;
                _writer.Write($"\r\x1b[K{Line(value, elapsed)}");
            }
            else if (_style == ProgressStyle.Lines && value.Total > 0 && (int)(value.Done * 10.0 / value.Total) is var tenth && tenth > _lastTenth)
            {
                _lastTenth = tenth;
                _writer.WriteLine(Numbers(value, elapsed));
            }
        }
    }

    /// <summary>Leaves the line, so that what is written next starts on its own.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_drawn)
            {
                _writer.Write("\r\x1b[K");
                _drawn = false;
            }
        }
    }

    // The numbers say more than the bar, so the bar gives way. The last column stays empty: some terminals wrap as soon as it is written.
    private string Line(ByteProgress value, TimeSpan elapsed)
    {
        string numbers = Numbers(value, elapsed);
        int room = Math.Max(_columns() - 1, 0);
        int width = Math.Min(room - numbers.Length - "[] ".Length, BarWidth);
        if (width <= 0)
        {
            return numbers[..Math.Min(numbers.Length, room)];
        }

        int full = value.Total == 0 ? width : (int)(value.Done * (double)width / value.Total);
        return $"[{new string('#', full)}{new string('.', width - full)}] {numbers}";
    }

    private string Numbers(ByteProgress value, TimeSpan elapsed)
    {
        double percent = value.Total == 0 ? 100 : value.Done * 100.0 / value.Total;
        double speed = elapsed.TotalSeconds > 0 ? (value.Done - _firstDone) / elapsed.TotalSeconds : 0;
        string text = string.Create(CultureInfo.InvariantCulture, $"{percent,5:0.0} %  {ByteSize.Format(value.Done)} of {ByteSize.Format(value.Total)}");
        if (speed < 1)
        {
            return text;
        }

        TimeSpan left = TimeSpan.FromSeconds(Math.Min((value.Total - value.Done) / speed, 359_999));
        return string.Create(CultureInfo.InvariantCulture, $"{text}  {ByteSize.Format((long)speed)}/s  {(int)left.TotalHours}:{left:mm\\:ss} left");
    }
}
