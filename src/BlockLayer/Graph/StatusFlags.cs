namespace BlockLayer.Graph;

/// <summary>What is known of a run of a node.</summary>
[Flags]
public enum StatusFlags
{
    /// <summary>Nothing: not allocated, left to the backing node.</summary>
    None = 0,

    /// <summary>The run reads from stored bytes.</summary>
    Data = 1,

    /// <summary>The run reads as zeroes.</summary>
    Zero = 2,

    /// <summary>The run's content is decided by the asked node (or, in a chain question, by one of the chain), not left to one below.</summary>
    Allocated = 4,

    /// <summary><see cref="BlockStatus.HostOffset"/> holds the position in the node's data file, and the run is contiguous there.</summary>
    HostOffsetValid = 8,

    /// <summary>The run is stored compressed.</summary>
    Compressed = 16,
}
