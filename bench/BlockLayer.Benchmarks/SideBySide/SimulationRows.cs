using System.Globalization;
using BlockLayer.Simulation;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// How fast time goes by in a simulation: requests of guests that check what they read, on one core, with jobs, faults and the search for broken promises going on as in
/// <c>blk simulate</c>, but without crashes.
/// </summary>
internal static class SimulationRows
{
    private const double Promised = 50_000; // requests a second

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        await Task.CompletedTask; // nothing here waits: a simulation runs on the thread that asks for it
        yield return Measured(setting, "simulated requests a second, guests that stay", requests: 10_000, seeds: 20, target: 1);
        yield return Measured(setting, "simulated requests a second, whole systems of 60 requests a guest", requests: 60, seeds: 400, target: null);
    }

    private static Row Measured(Setting setting, string work, int requests, int seeds, double? target)
    {
        var options = new SystemOptions { Requests = requests, CrashPoints = 0 };
        int count = Math.Max(4, (int)(seeds * setting.Scale));
        var rates = new List<double>();
        for (int round = -1; round < setting.Rounds; round++)
        {
            long made = 0;
            double seconds = Measure.Time(() => made = Enumerable.Range(1, count).Sum(seed => SystemRun.Run((ulong)seed, options).Requests));
            if (round >= 0)
            {
                rates.Add(made / seconds);
            }
        }

        double rate = Measure.Median(rates);
        return new Row(
            work,
            string.Create(CultureInfo.InvariantCulture, $"{rate:0}/s"),
            string.Create(CultureInfo.InvariantCulture, $"{Promised:0}/s promised"),
            rate / Promised,
            target);
    }
}
