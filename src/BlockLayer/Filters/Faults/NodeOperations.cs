namespace BlockLayer.Filters;

/// <summary>The requests of a node, as a set.</summary>
[Flags]
public enum NodeOperations
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Reads.</summary>
    Read = 1,

    /// <summary>Writes of guests.</summary>
    Write = 2,

    /// <summary>Zeroes of guests.</summary>
    WriteZeroes = 4,

    /// <summary>Discards.</summary>
    Discard = 8,

    /// <summary>Flushes.</summary>
    Flush = 16,

    /// <summary>Stores of copies from the backing file, zeroes included.</summary>
    Populate = 32,

    /// <summary>Questions about allocation.</summary>
    Status = 64,

    /// <summary>All of them.</summary>
    All = 127,
}
