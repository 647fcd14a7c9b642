namespace BlockLayer.Storage;

/// <summary>What may happen to the room under zeroes that are written.</summary>
public enum ZeroMode
{
    /// <summary>The room stays reserved where the file system can say so.</summary>
    KeepAllocated,

    /// <summary>The room may be given back: the range may become a hole.</summary>
    MayUnmap,
}
