namespace BlockLayer.Libvirt;

/// <summary>
/// What the first generation's one call is to do (<c>virDomainStreamDiskFlags</c>, proposed 2011, never released). Its numbers were not published; these
/// are this library's.
/// </summary>
[Flags]
public enum StreamDiskFlags
{
    /// <summary>Nothing: not a valid call.</summary>
    None = 0,

    /// <summary>Start to stream the whole device.</summary>
    Start = 1,

    /// <summary>Stop streaming the whole device.</summary>
    Stop = 2,

    /// <summary>Stream one unit at the given offset.</summary>
    One = 4,
}
