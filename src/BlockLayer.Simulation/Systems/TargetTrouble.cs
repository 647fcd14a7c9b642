using BlockLayer.Errors;

namespace BlockLayer.Simulation;

/// <summary>
/// A job's target that cannot be written for a while, because it is full or broken. The job stops, fails or goes on, as its policies say; it is its own matter, and guests never notice.
/// </summary>
internal sealed class TargetTrouble
{
    private readonly SystemRun _run;
    private readonly FaultRule _rule;
    private bool _isOver;

    /// <summary>From now on.</summary>
    /// <param name="run">Where.</param>
    /// <param name="path">The target's file, which nobody but the job uses.</param>
    /// <param name="random">Which writes, and why they fail.</param>
    internal TargetTrouble(SystemRun run, string path, SeededRandom random)
    {
        _run = run;
        _rule = new FaultRule
        {
            Path = path,
            Operations = StorageOperations.AnyChange,
            Skip = random.Next(4),
            Count = 1 + random.Next(3),
            Kind = random.Next(2) == 0 ? BlockErrorKind.NoSpace : BlockErrorKind.Io,
        };
        run.Machine.Storage.Faults.Add(_rule);
    }

    /// <summary>True once a write has failed.</summary>
    internal bool HasHit { get; private set; }

    /// <summary>The target can be written again: the job is over, or the disk is about to go on with the target.</summary>
    internal void End()
    {
        if (_isOver)
        {
            return;
        }

        _isOver = true;
        long hits = _run.Machine.Storage.Faults.CountHits(_rule);
        _run.Machine.Storage.Faults.Remove(_rule);
        _run.Report.Faults += hits;
        HasHit = hits > 0;
    }
}
