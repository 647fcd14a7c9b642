namespace BlockLayer.Simulation;

/// <summary>What an entry of a <see cref="StorageLog"/> tells.</summary>
public enum StorageLogEvent
{
    /// <summary>A call was made.</summary>
    Began,

    /// <summary>A call succeeded.</summary>
    Completed,

    /// <summary>A call failed; what it should have done may have happened in part.</summary>
    Failed,

    /// <summary>The program noted something about itself.</summary>
    Note,
}
