namespace BlockLayer.Simulation;

/// <summary>Which of the steps that could run now is run. Each order finds other mistakes; a search over seeds should use several.</summary>
public enum SimulationOrder
{
    /// <summary>Any of them, equally likely.</summary>
    Random,

    /// <summary>The one that has been ready longest: the order of a quiet machine. The seed does not matter.</summary>
    FirstInFirstOut,

    /// <summary>The one that became ready last: old waiters starve. The seed does not matter.</summary>
    LastInFirstOut,

    /// <summary>
    /// First in, first out, but about one step in eight is held back for long, at most until nothing else is ready: the slow request that everything
    /// else overtakes.
    /// </summary>
    Stragglers,
}
