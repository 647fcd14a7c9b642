using System.Diagnostics;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Takes both sides in turn, several times, and keeps medians: what drifts on the machine drifts for both.</summary>
internal static class Measure
{
    /// <summary>Runs A B A B ... after one uncounted pair.</summary>
    /// <param name="rounds">Counted pairs.</param>
    /// <param name="ours">Returns seconds.</param>
    /// <param name="peer">Returns seconds.</param>
    /// <returns>Medians in seconds, and the median of the ratios peer / ours, pair by pair.</returns>
    internal static async Task<(double Ours, double Peer, double Speedup)> PairsAsync(int rounds, Func<Task<double>> ours, Func<Task<double>> peer)
    {
        var mine = new List<double>();
        var theirs = new List<double>();
        var ratios = new List<double>();
        for (int round = -1; round < rounds; round++)
        {
            double a = await ours();
            double b = await peer();
            if (round >= 0)
            {
                mine.Add(a);
                theirs.Add(b);
                ratios.Add(b / a);
            }
        }

        return (Median(mine), Median(theirs), Median(ratios));
    }

    /// <summary>Seconds that <paramref name="work"/> takes.</summary>
    internal static async Task<double> TimeAsync(Func<Task> work)
    {
        long start = Stopwatch.GetTimestamp();
        await work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Seconds that <paramref name="work"/> takes on this thread.</summary>
    internal static double Time(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>The middle of them; sorts the list.</summary>
    internal static double Median(List<double> values)
    {
        values.Sort();
        int middle = values.Count / 2;
        return values.Count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
}
