namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>What is done to a live copy so that its test must notice.</summary>
internal enum LiveCopyMistake
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>What could not be copied is not marked again.</summary>
    ForgetsFailures,

    /// <summary>A guest's write is marked when it begins instead of when it has ended.</summary>
    MarksTooEarly,

    /// <summary>Guests' discards are not marked.</summary>
    ForgetsDiscards,
}
