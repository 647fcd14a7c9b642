namespace BlockLayer.Simulation;

/// <summary>How simulated storage behaves.</summary>
public sealed record SimulatedStorageOptions
{
    /// <summary>How long requests take. Without a scheduler only <see cref="LatencyModel.Inline"/> works.</summary>
    public LatencyModel Latency { get; init; } = LatencyModel.Immediate;

    /// <summary>What goes wrong.</summary>
    public FaultPlan Faults { get; init; } = new();

    /// <summary>Whether completed writes are volatile until flushed.</summary>
    public WriteCacheMode WriteCache { get; init; } = WriteCacheMode.Volatile;

    /// <summary>Tells several storages of one simulation apart in their random decisions.</summary>
    public ulong Seed { get; init; }
}
