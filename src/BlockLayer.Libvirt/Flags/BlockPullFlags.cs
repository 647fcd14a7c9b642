namespace BlockLayer.Libvirt;

/// <summary>How a chain is pulled (<c>virDomainBlockPullFlags</c>): a subset of <see cref="BlockRebaseFlags"/> with the same numbers.</summary>
[Flags]
public enum BlockPullFlags
{
    /// <summary>The bandwidth is in MiB/s.</summary>
    None = 0,

    /// <summary>The bandwidth is in bytes/s. Since 1.2.9.</summary>
    BandwidthBytes = 64,
}
