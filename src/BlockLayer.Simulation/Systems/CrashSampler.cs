namespace BlockLayer.Simulation;

/// <summary>
/// Lets the power fail at moments that the seed picks among those at which something is about to become durable, and holds a few of the states that this could
/// leave against what guests were promised. The run itself goes on.
/// </summary>
internal sealed class CrashSampler(SystemRun run, SystemOptions options, SeededRandom random)
{
    private const double Chance = 0.04; // of each such moment

    private readonly List<CrashImage> _images = [];

    /// <summary>One of the states that were looked at; null where there was none.</summary>
    internal CrashState? Survivor { get; private set; }

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

        var seen = new HashSet<string>(StringComparer.Ordinal); // where little is pending, chance picks a state twice
        foreach (CrashImage image in _images)
        {
            run.Report.CrashPoints++;
            for (int i = 0; i < options.StatesPerCrash; i++)
            {
                CrashState state = i == 0 ? image.NothingSurvived : image.PickState(random);
                if (!seen.Add(state.ToString()))
                {
                    continue;
                }

                run.Report.CrashStates++;
                Check(state);
                Survivor = random.Next(run.Report.CrashStates) == 0 ? state : Survivor;
            }
        }
    }

    private void Capture(string reason)
    {
        DiskPromise[] promises = [.. run.Disks.Select(disk => disk.Promise())];
        _images.Add(new CrashImage(_images.Count, reason, run.Machine.Storage.Volume, promises));
    }

    private void Check(CrashState state)
    {
        try
        {
            SimulatedStorageProvider files = state.Open();
            foreach (DiskPromise promise in (DiskPromise[])state.Image.Observation!)
            {
                // Storage answers inline, so nothing is left to wait for.
                promise.CheckAsync(files, run.Formats).GetAwaiter().GetResult();
            }
        }
        catch (Exception error)
        {
            throw new CrashCheckException(state, error);
        }
    }
}
