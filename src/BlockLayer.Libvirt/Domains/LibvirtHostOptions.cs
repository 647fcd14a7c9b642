using BlockLayer.Images;

namespace BlockLayer.Libvirt;

/// <summary>What the domains of a host have in common.</summary>
public sealed record LibvirtHostOptions
{
    /// <summary>
    /// How disks are opened: files and clock, open policy, passphrases. Format and access come from each disk's definition; how copy-on-read works is used where a disk asks for it.
    /// </summary>
    public DiskOptions Disks { get; init; } = new();

    /// <summary>
    /// The folder in which the snapshots of domains are remembered, one file a domain; it exists. With it, a start finishes or takes back what a crash has left of a snapshot's creation or
    /// deletion, and opens the images that the disks really went on with. Null: nothing is remembered, and snapshots of domains cannot be made.
    /// </summary>
    public string? SnapshotFolder { get; init; }

    /// <summary>
    /// Where other images may lie that stand on those of domains. The deletion of a snapshot looks here besides the folders of the snapshot's own images; a commit looks here, and nowhere else,
    /// and is refused where it would destroy one.
    /// </summary>
    public IReadOnlyList<string> ImageFolders { get; init; } = [];

    /// <summary>How wide an <c>unsigned long</c> the callers have; bandwidths that do not fit are refused as libvirt would.</summary>
    public ClientLong ClientLong { get; init; } = ClientLong.Bits64;
}
