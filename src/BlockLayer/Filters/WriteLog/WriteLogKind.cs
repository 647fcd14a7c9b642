namespace BlockLayer.Filters;

/// <summary>What a logged request did.</summary>
public enum WriteLogKind
{
    /// <summary>Wrote bytes.</summary>
    Write,

    /// <summary>Wrote zeroes.</summary>
    Zeroes,

    /// <summary>Discarded.</summary>
    Discard,

    /// <summary>Made durable what stands before it in the log.</summary>
    Flush,
}
