namespace BlockLayer.Simulation;

/// <summary>
/// Lets the power fail at moments that the seed picks among those at which something is about to become durable, and holds a few of the states that this could
/// leave against what guests were promised. The run itself goes on.
/// </summary>
internal sealed class CrashSampler(SystemRun run, SystemOptions options, SeededRandom random)
{
    private const double Chance = 0.04; // of each such moment

    private readonly List<CrashImage> _images = [];

    internal void Begin() => run.Machine.Storage.Volume.BeforeDurabilityChange = () =>
    {
        if (_images.Count < options.CrashPoints && random.Chance(Chance))
        {
            Capture("before something becomes durable");
        }
    };

    /// <summary>One more crash at the end, and then all are looked at.</summary>
    internal void End()
    {
        run.Machine.Storage.Volume.BeforeDurabilityChange = null;
        if (options.CrashPoints > 0)
        {
            Capture("end of the run");
        }

        foreach (CrashImage image in _images)
        {
            run.Report.CrashPoints++;
            foreach (CrashState state in Sample(image))
            {
                run.Report.CrashStates++;
                Check(state);
            }
        }
    }

    private void Capture(string reason)
    {
        DiskPromise[] promises = [.. run.Disks.Select(disk => disk.Promise())];
        _images.Add(new CrashImage(_images.Count, reason, run.Machine.Storage.Volume, promises));
    }

    // Everything lost, everything kept, and some between.
    private IEnumerable<CrashState> Sample(CrashImage image)
    {
        var enumeration = new CrashEnumeration { ExhaustiveLimit = 3, RandomSubsets = options.StatesPerCrash, RandomTornStates = options.StatesPerCrash, Seed = random.NextUInt64() };
        CrashState[] between = [.. image.EnumerateStates(enumeration)];
        var chosen = new HashSet<int>();
        yield return image.NothingSurvived;
        for (int i = 1; i < options.StatesPerCrash && chosen.Count < between.Length; i++)
        {
            int next = random.Next(between.Length);
            if (chosen.Add(next))
            {
                yield return between[next];
            }
        }
    }

    private void Check(CrashState state)
    {
        try
        {
            SimulatedStorageProvider files = state.Open();
            foreach (DiskPromise promise in (DiskPromise[])state.Image.Observation!)
            {
                // Storage answers inline, so nothing is left to wait for.
                promise.CheckAsync(files, options.Formats).GetAwaiter().GetResult();
            }
        }
        catch (Exception error)
        {
            throw new CrashCheckException(state, error);
        }
    }
}
