namespace BlockLayer.Graph;

/// <summary>How a read is carried out.</summary>
[Flags]
public enum ReadFlags
{
    /// <summary>Plainly.</summary>
    None = 0,

    /// <summary>The caller wants the data copied up, not returned in time: a background copy may go behind guests.</summary>
    Prefetch = 1,
}
