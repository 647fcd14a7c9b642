namespace BlockLayer.Simulation;

/// <summary>Runs the same scenario under many schedules and reports the first that fails as one line that repeats it.</summary>
public static class SimulationSearch
{
    /// <summary>
    /// Runs <paramref name="scenario"/> once in each order that needs no seed, and with each seed in the others.
    /// </summary>
    /// <param name="seeds">How many seeds; not negative.</param>
    /// <param name="scenario">Builds everything anew around the scheduler it is given, runs it and throws if something is wrong.</param>
    /// <param name="firstSeed">The first of the seeds.</param>
    /// <exception cref="SimulationSearchException">A run failed.</exception>
    public static void Run(int seeds, Action<SimulationScheduler> scenario, ulong firstSeed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(seeds);
        Run(new SimulationOptions { Order = SimulationOrder.FirstInFirstOut }, scenario);
        Run(new SimulationOptions { Order = SimulationOrder.LastInFirstOut }, scenario);
        for (int i = 0; i < seeds; i++)
        {
            ulong seed = unchecked(firstSeed + (ulong)i); // behind the last one comes 0
            Run(new SimulationOptions { Seed = seed, Order = SimulationOrder.Random }, scenario);
            Run(new SimulationOptions { Seed = seed, Order = SimulationOrder.Stragglers }, scenario);
        }
    }

    /// <summary>Runs one schedule, as a failing search printed it.</summary>
    /// <exception cref="SimulationSearchException">The run failed.</exception>
    public static void Repeat(string line, Action<SimulationScheduler> scenario) => Run(SimulationOptions.Parse(line), scenario);

    private static void Run(SimulationOptions options, Action<SimulationScheduler> scenario)
    {
        try
        {
            scenario(new SimulationScheduler(options));
        }
        catch (Exception error)
        {
            throw new SimulationSearchException(options, error);
        }
    }
}
