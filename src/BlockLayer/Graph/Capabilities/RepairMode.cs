namespace BlockLayer.Graph;

/// <summary>How much of what a check finds a repair changes.</summary>
public enum RepairMode
{
    /// <summary>Only lost space is given back. Nothing is changed that anything refers to.</summary>
    Leaks,

    /// <summary>Lost space and every contradiction.</summary>
    All,
}
