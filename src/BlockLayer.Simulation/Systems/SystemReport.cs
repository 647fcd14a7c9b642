using System.Globalization;

namespace BlockLayer.Simulation;

/// <summary>What happened in a run.</summary>
/// <param name="Seed">What repeats it.</param>
public sealed record SystemReport(ulong Seed)
{
    /// <summary>Everything that guests and operators asked for.</summary>
    public long Operations => Requests + Completed + Cancelled + Failed + Refused + Snapshots + InternalSnapshots + Resizes;

    /// <summary>Requests that guests made.</summary>
    public long Requests { get; internal set; }

    /// <summary>Of them, those that failed because of a fault.</summary>
    public long FailedRequests { get; internal set; }

    /// <summary>Jobs that completed.</summary>
    public int Completed { get; internal set; }

    /// <summary>Jobs that were cancelled.</summary>
    public int Cancelled { get; internal set; }

    /// <summary>Jobs that failed because of a fault.</summary>
    public int Failed { get; internal set; }

    /// <summary>Jobs that were refused, because another one works there or the chain does not allow them.</summary>
    public int Refused { get; internal set; }

    /// <summary>Times that an operator of a disk started something while a job of it was at work.</summary>
    public int Parallel { get; internal set; }

    /// <summary>Of them, those in which that job was the operator's own, and ready.</summary>
    public int Nested { get; internal set; }

    /// <summary>Live snapshots, of one disk or of all.</summary>
    public int Snapshots { get; internal set; }

    /// <summary>Internal snapshots that were taken, applied or deleted.</summary>
    public int InternalSnapshots { get; internal set; }

    /// <summary>Times that what an internal snapshot holds was held against what the disk held when it was taken.</summary>
    public int KeptStates { get; internal set; }

    /// <summary>Disks that were made longer.</summary>
    public int Resizes { get; internal set; }

    /// <summary>Backups that were held against what the disk held when they were started.</summary>
    public int Backups { get; internal set; }

    /// <summary>Times that machines went on from what a crash had left.</summary>
    public int Restarts { get; internal set; }

    /// <summary>Calls to storage that were made to fail.</summary>
    public long Faults { get; internal set; }

    /// <summary>Moments at which the power failed.</summary>
    public int CrashPoints { get; internal set; }

    /// <summary>States that these could leave, each opened and held against what the guests were promised.</summary>
    public int CrashStates { get; internal set; }

    /// <summary>What only some runs come to.</summary>
    public CornerCounts Corners { get; private init; } = new();

    /// <summary>A digest of every choice of the scheduler; equal for equal runs.</summary>
    public ulong TraceHash { get; internal set; }

    /// <summary>How long it took on the simulated clock.</summary>
    public TimeSpan VirtualTime { get; internal set; }

    /// <summary>The sums of two runs, with the seed of the second.</summary>
    public SystemReport Plus(SystemReport other) => other with
    {
        Requests = Requests + other.Requests,
        FailedRequests = FailedRequests + other.FailedRequests,
        Completed = Completed + other.Completed,
        Cancelled = Cancelled + other.Cancelled,
        Failed = Failed + other.Failed,
        Refused = Refused + other.Refused,
        Parallel = Parallel + other.Parallel,
        Nested = Nested + other.Nested,
        Snapshots = Snapshots + other.Snapshots,
        InternalSnapshots = InternalSnapshots + other.InternalSnapshots,
        KeptStates = KeptStates + other.KeptStates,
        Resizes = Resizes + other.Resizes,
        Backups = Backups + other.Backups,
        Restarts = Restarts + other.Restarts,
        Faults = Faults + other.Faults,
        CrashPoints = CrashPoints + other.CrashPoints,
        CrashStates = CrashStates + other.CrashStates,
        Corners = Corners.Plus(other.Corners),
        TraceHash = TraceHash ^ other.TraceHash,
        VirtualTime = VirtualTime + other.VirtualTime,
    };

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Requests} requests ({FailedRequests} failed), jobs: {Completed} completed, {Cancelled} cancelled, {Failed} failed, {Refused} refused, {Parallel} beside another, {Nested} nested; {Snapshots} snapshots, {InternalSnapshots} internal ones ({KeptStates} compared), {Resizes} resizes, {Backups} backups compared, {Faults} faults, {CrashPoints} crashes in {CrashStates} states, {Restarts} restarts");
}
