namespace BlockLayer.Libvirt;

/// <summary>Why a disk has another source (<c>virConnectDomainEventDiskChangeReason</c>).</summary>
public enum DiskChangeReason
{
    /// <summary>The file was missing when the domain started, and the disk is empty.</summary>
    MissingOnStart = 0,

    /// <summary>The file was missing when the domain started, and the disk was left out.</summary>
    DropMissingOnStart = 1,
}
