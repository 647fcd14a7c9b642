namespace BlockLayer.Libvirt;

/// <summary>How a speed is given (<c>virDomainBlockJobSetSpeedFlags</c>).</summary>
[Flags]
public enum BlockJobSetSpeedFlags
{
    /// <summary>In MiB/s.</summary>
    None = 0,

    /// <summary>In bytes/s. Since 1.2.9.</summary>
    BandwidthBytes = 1,
}
