namespace BlockLayer.Libvirt;

/// <summary>Something that happened to a domain. It is told after the domain's description says it too.</summary>
/// <param name="Domain">Whom it happened to.</param>
public abstract record DomainEvent(Domain Domain);
