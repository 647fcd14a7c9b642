namespace BlockLayer.Simulation;

/// <summary>What a completed write means to simulated storage.</summary>
public enum WriteCacheMode
{
    /// <summary>It stands in a volatile cache until a flush that began later has completed, as on a machine with a page cache.</summary>
    Volatile,

    /// <summary>It is durable. Nothing is kept for crashes; for long runs that do not crash.</summary>
    WriteThrough,
}
