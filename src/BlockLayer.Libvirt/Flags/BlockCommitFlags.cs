namespace BlockLayer.Libvirt;

/// <summary>How images are committed into their base (<c>virDomainBlockCommitFlags</c>).</summary>
[Flags]
public enum BlockCommitFlags
{
    /// <summary>Down to the bottom of the chain; the bandwidth is in MiB/s.</summary>
    None = 0,

    /// <summary>Without a base given, the image right below the top is the base. Since 0.10.2.</summary>
    Shallow = 1,

    /// <summary>Delete the files that the commit made invalid. Since 0.10.2.</summary>
    Delete = 2,

    /// <summary>The top is the active image: a job of two phases. Since 1.2.6.</summary>
    Active = 4,

    /// <summary>Record a relative name of the base in what was on the top. Since 1.2.7.</summary>
    Relative = 8,

    /// <summary>The bandwidth is in bytes/s. Since 1.2.9.</summary>
    BandwidthBytes = 16,
}
