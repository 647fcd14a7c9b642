namespace BlockLayer.Graph;

/// <summary>What a child is to its parent.</summary>
public enum EdgeRole
{
    /// <summary>Holds guest data only.</summary>
    Data,

    /// <summary>Holds the format's tables, and its guest data unless there is a data child.</summary>
    Metadata,

    /// <summary>Provides what the parent has not allocated.</summary>
    Backing,

    /// <summary>Is what the parent, a filter, shows.</summary>
    Filtered,

    /// <summary>Is kept equal to what a filter shows, or compared with it.</summary>
    Secondary,

    /// <summary>Holds what a filter notes about its own work.</summary>
    Log,
}
