namespace BlockLayer.Formats.CowOverlay;

/// <summary>What the record says of the bitmap that was loaded.</summary>
internal enum ChecksumState
{
    /// <summary>There is no record.</summary>
    None,

    /// <summary>The bitmap is the one that was left.</summary>
    Valid,

    /// <summary>The overlay was not closed: the record says nothing of the bitmap. The order of writes sees to it that it is right.</summary>
    NotClosed,

    /// <summary>Another program has written the bitmap since, or it is damaged, which cannot be told apart.</summary>
    Stale,
}
