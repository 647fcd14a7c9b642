namespace BlockLayer.Libvirt;

/// <summary>How a chain is rebased or, with <see cref="Copy"/>, copied (<c>virDomainBlockRebaseFlags</c>).</summary>
[Flags]
public enum BlockRebaseFlags
{
    /// <summary>Pull down to the base; the bandwidth is in MiB/s.</summary>
    None = 0,

    /// <summary>Copy the top image only; source and copy share the rest of the chain. Needs <see cref="Copy"/>. Since 0.9.12.</summary>
    Shallow = 1,

    /// <summary>The file of the copy exists already. Needs <see cref="Copy"/>. Since 0.9.12.</summary>
    ReuseExternal = 2,

    /// <summary>Make the copy raw. Needs <see cref="Copy"/>. Since 0.9.12.</summary>
    CopyRaw = 4,

    /// <summary>Copy the disk to the file named by base. Since 0.9.12.</summary>
    Copy = 8,

    /// <summary>Record a relative name of the base. Not together with <see cref="Copy"/>. Since 1.2.7.</summary>
    Relative = 16,

    /// <summary>The copy is a block device. Needs <see cref="Copy"/>. Since 1.2.9.</summary>
    CopyDevice = 32,

    /// <summary>The bandwidth is in bytes/s. Since 1.2.9.</summary>
    BandwidthBytes = 64,
}
