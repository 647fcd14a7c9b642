namespace BlockLayer.Simulation;

/// <summary>What a crash does to bytes that no flush has covered.</summary>
public enum CrashLoss
{
    /// <summary>They are lost, as when the power fails at the worst moment.</summary>
    Everything,

    /// <summary>They survive, also those on their way, as when a process is killed.</summary>
    Nothing,
}
