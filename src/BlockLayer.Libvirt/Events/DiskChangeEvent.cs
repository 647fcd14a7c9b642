namespace BlockLayer.Libvirt;

/// <summary>A disk has another source.</summary>
/// <param name="Domain">Whose disk it is.</param>
/// <param name="OldPath">Its source before.</param>
/// <param name="NewPath">Its source now; null for none.</param>
/// <param name="Target">The disk. libvirt tells the hypervisor's alias here, which does not exist without one.</param>
/// <param name="Reason">Why.</param>
public sealed record DiskChangeEvent(Domain Domain, string OldPath, string? NewPath, string Target, DiskChangeReason Reason) : DomainEvent(Domain);
