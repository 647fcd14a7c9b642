namespace BlockLayer.Cli.Terminal;

/// <summary>A line of a terminal that is redrawn in place, ten times a second at most, and wiped in the end. It keeps to one line, because a line that wraps cannot be redrawn.</summary>
internal sealed class StatusLine(TextWriter writer, TimeProvider time, Func<int> columns) : IDisposable
{
    private static readonly TimeSpan s_redraw = TimeSpan.FromMilliseconds(100);

    private long? _drawnAt;

    /// <summary>Shows a text, unless another one was drawn just before.</summary>
    internal void Show(FormattableString text)
    {
        if (_drawnAt is { } before && time.GetElapsedTime(before) < s_redraw)
        {
            return;
        }

        _drawnAt = time.GetTimestamp();
        string line = FormattableString.Invariant(text);
        writer.Write($"\r\x1b[K{line[..Math.Min(line.Length, Math.Max(columns() - 1, 0))]}"); // some terminals wrap as soon as the last column is written
    }

    public void Dispose()
    {
        if (_drawnAt is not null)
        {
            writer.Write("\r\x1b[K");
            _drawnAt = null;
        }
    }
}
