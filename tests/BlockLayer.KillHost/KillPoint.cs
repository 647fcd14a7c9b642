namespace BlockLayer.KillHost;

/// <summary>Where a pull stops to be killed.</summary>
internal enum KillPoint
{
    /// <summary>Before a write of the image that is filled, counted from 0.</summary>
    Copying,

    /// <summary>All data is flushed, and the header's change is asked for but not made.</summary>
    BeforeHeader,

    /// <summary>The header is changed and not flushed.</summary>
    AfterHeader,

    /// <summary>The header is changed and flushed, and nobody has been told.</summary>
    AfterHeaderFlush,

    /// <summary>Success is printed, and the image still open.</summary>
    AfterSuccess,
}
