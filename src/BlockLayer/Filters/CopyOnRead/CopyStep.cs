namespace BlockLayer.Filters;

/// <summary>The half of a copy that failed.</summary>
public enum CopyStep
{
    /// <summary>Reading the source.</summary>
    Read,

    /// <summary>Storing into the destination.</summary>
    Write,
}
