namespace BlockLayer.Libvirt;

/// <summary>Hears of disks with another source (<c>virConnectDomainEventDiskChangeCallback</c>).</summary>
/// <param name="domain">Whose disk it is.</param>
/// <param name="oldPath">Its source before.</param>
/// <param name="newPath">Its source now; null for none.</param>
/// <param name="target">The disk.</param>
/// <param name="reason">Why.</param>
public delegate void DiskChangeCallback(Domain domain, string oldPath, string? newPath, string target, DiskChangeReason reason);
