namespace BlockLayer.Simulation;

/// <summary>
/// Makes a failing run smaller: plays its seed with fewer disks, guests, operators, jobs, requests and crashes and without faults, and keeps what still breaks a promise, until
/// nothing more can be left out.
/// </summary>
/// <remarks>
/// What the seed decides does not depend on most of these limits, so what is left does much the same as before; but the order of events changes, and another promise may be the one that
/// is broken.
/// </remarks>
public static class SystemShrinker
{
    /// <summary>The smallest that is found in so many tries.</summary>
    /// <param name="seed">Of the run.</param>
    /// <param name="failing">With which it breaks a promise; what they trace is left out.</param>
    /// <param name="failure">Which.</param>
    /// <param name="tries">Runs at the most.</param>
    /// <param name="play">Runs a seed; null: <see cref="SystemRun.Run"/>.</param>
    /// <param name="cancellationToken">Ends the search with what has been found; asked between two runs.</param>
    public static SmallerRun Shrink(
        ulong seed,
        SystemOptions failing,
        SimulationSearchException failure,
        int tries = 200,
        Func<ulong, SystemOptions, SystemReport>? play = null,
        CancellationToken cancellationToken = default)
    {
        play ??= SystemRun.Run;
        var smallest = new SmallerRun(failing with { Trace = null }, failure);
        int left = tries;
        while (TryOneStep())
        {
        }

        return smallest;

        bool TryOneStep()
        {
            foreach (SystemOptions smaller in Smaller(smallest.Options))
            {
                if (left-- <= 0 || cancellationToken.IsCancellationRequested)
                {
                    return false;
                }

                try
                {
                    play(seed, smaller);
                }
                catch (SimulationSearchException stillFailing)
                {
                    smallest = new SmallerRun(smaller, stillFailing);
                    return true;
                }
            }

            return false;
        }
    }

    // What hides most first.
    private static IEnumerable<SystemOptions> Smaller(SystemOptions options)
        => (options.Faults ? new[] { options with { Faults = false } } : [])
            .Concat(Below(options.CrashPoints).Select(fewer => options with { CrashPoints = fewer }))
            .Concat(Below(options.MaxDisks, least: 1).Select(fewer => options with { MaxDisks = fewer }))
            .Concat(Below(options.Operators).Select(fewer => options with { Operators = fewer }))
            .Concat(Below(options.Guests).Select(fewer => options with { Guests = fewer }))
            .Concat(Below(options.Jobs).Select(fewer => options with { Jobs = fewer }))
            .Concat(Below(options.Requests).Select(fewer => options with { Requests = fewer }));

    private static IEnumerable<int> Below(int number, int least = 0)
        => new[] { least, (least + number) / 2, number - 1 }.Where(fewer => fewer >= least && fewer < number).Distinct();
}
