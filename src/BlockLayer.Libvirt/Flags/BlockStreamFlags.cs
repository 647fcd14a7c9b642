namespace BlockLayer.Libvirt;

/// <summary>How the third generation streams (<c>virDomainBlockStreamFlags</c>, proposed 2011).</summary>
[Flags]
public enum BlockStreamFlags
{
    /// <summary>One increment from the cursor, which is moved on.</summary>
    None = 0,

    /// <summary>The whole device, in the background; needs no cursor.</summary>
    Continuous = 1,
}
