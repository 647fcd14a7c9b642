using BlockLayer.Images;

namespace BlockLayer.Libvirt;

/// <summary>What the domains of a host have in common.</summary>
public sealed record LibvirtHostOptions
{
    /// <summary>
    /// How disks are opened: files and clock, open policy, passphrases. Format and access come from each disk's definition; how copy-on-read works is used where a disk asks for it.
    /// </summary>
    public DiskOptions Disks { get; init; } = new();

    /// <summary>How wide an <c>unsigned long</c> the callers have; bandwidths that do not fit are refused as libvirt would.</summary>
    public ClientLong ClientLong { get; init; } = ClientLong.Bits64;
}
