using System.Globalization;

namespace BlockLayer.Cli.Demo;

/// <summary>How long requests took, every one of them: percentiles are exact. For one caller at a time.</summary>
internal sealed class LatencyLog
{
    private readonly List<TimeSpan> _taken = [];

    internal int Count => _taken.Count;

    internal void Add(TimeSpan taken) => _taken.Add(taken);

    /// <summary>The requests of several logs as one.</summary>
    internal static LatencyLog Merge(IEnumerable<LatencyLog> logs)
    {
        var merged = new LatencyLog();
        foreach (LatencyLog log in logs)
        {
            merged._taken.AddRange(log._taken);
        }

        merged._taken.Sort();
        return merged;
    }

    /// <summary>The time that <paramref name="share"/> of the requests of a merged log did not exceed.</summary>
    internal string Percentile(double share)
    {
        if (_taken.Count == 0)
        {
            return "-";
        }

        TimeSpan taken = _taken[Math.Min(_taken.Count - 1, (int)Math.Ceiling(share * _taken.Count) - 1)];
        return taken.TotalMilliseconds < 1
            ? string.Create(CultureInfo.InvariantCulture, $"{taken.TotalMicroseconds:0} us")
            : string.Create(CultureInfo.InvariantCulture, $"{taken.TotalMilliseconds:0.0} ms");
    }
}
