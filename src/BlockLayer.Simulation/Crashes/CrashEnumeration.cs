namespace BlockLayer.Simulation;

/// <summary>Which of the states that a crash can leave are tried.</summary>
public sealed record CrashEnumeration
{
    /// <summary>Up to this many pending operations every subset is tried; beyond it every prefix, every single loss, and random subsets.</summary>
    public int ExhaustiveLimit { get; init; } = 10;

    /// <summary>How many random subsets beyond the limit.</summary>
    public int RandomSubsets { get; init; } = 200;

    /// <summary>
    /// Whether writes are torn between their sectors too: each write on its own in several ways, after all before it and none behind it survived, and
    /// with all others surviving.
    /// </summary>
    public bool TornWrites { get; init; } = true;

    /// <summary>How many states in which every operation is lost, whole or torn at random; none without <see cref="TornWrites"/>.</summary>
    public int RandomTornStates { get; init; } = 32;

    /// <summary>Decides what is random.</summary>
    public ulong Seed { get; init; }
}
