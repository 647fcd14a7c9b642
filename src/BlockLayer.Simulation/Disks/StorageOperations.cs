namespace BlockLayer.Simulation;

/// <summary>What is asked of storage, as a set: one kind in a record of a call, several in a rule.</summary>
[Flags]
public enum StorageOperations
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>A read of bytes.</summary>
    Read = 1 << 0,

    /// <summary>A write of bytes.</summary>
    Write = 1 << 1,

    /// <summary>A range made to read as zeroes.</summary>
    WriteZeroes = 1 << 2,

    /// <summary>A range given back.</summary>
    Discard = 1 << 3,

    /// <summary>A file made durable.</summary>
    Flush = 1 << 4,

    /// <summary>A change of length.</summary>
    SetLength = 1 << 5,

    /// <summary>A question for holes.</summary>
    GetExtent = 1 << 6,

    /// <summary>An open, whether or not it creates the file.</summary>
    Open = 1 << 7,

    /// <summary>The creation of a name by an open; in a rule, an open that would create.</summary>
    Create = 1 << 8,

    /// <summary>A change of a name.</summary>
    Rename = 1 << 9,

    /// <summary>The removal of a name.</summary>
    Delete = 1 << 10,

    /// <summary>A directory made durable.</summary>
    FlushDirectory = 1 << 11,

    /// <summary>Whatever changes the bytes of a file.</summary>
    AnyChange = Write | WriteZeroes | Discard | SetLength,

    /// <summary>All of them.</summary>
    Any = (1 << 12) - 1,
}
