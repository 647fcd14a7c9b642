namespace BlockLayer.Libvirt;

/// <summary>How a job is described (<c>virDomainBlockJobInfoFlags</c>).</summary>
[Flags]
public enum BlockJobInfoFlags
{
    /// <summary>The bandwidth in MiB/s, rounded up.</summary>
    None = 0,

    /// <summary>The bandwidth in bytes/s. Since 1.2.9.</summary>
    BandwidthBytes = 1,
}
