namespace BlockLayer.Filters;

/// <summary>What happens to a node, as a set: its requests, and the events of its life that can fail.</summary>
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

    /// <summary>Flushes; one that belongs to a write with forced unit access too.</summary>
    Flush = 16,

    /// <summary>Stores of copies from the backing file, zeroes included.</summary>
    Populate = 32,

    /// <summary>Questions about allocation.</summary>
    Status = 64,

    /// <summary>Changes of length.</summary>
    Resize = 128,

    /// <summary>Changes of the backing file that the image records: where a job completes.</summary>
    RecordBacking = 256,

    /// <summary>The end of the node, before what lies below is closed.</summary>
    Close = 512,

    /// <summary>All of them.</summary>
    All = 1023,
}
