namespace BlockLayer.Libvirt;

/// <summary>Whether a domain outlives a stop.</summary>
internal enum DomainLifetime
{
    /// <summary>It exists until it stops.</summary>
    Transient,

    /// <summary>It exists until it is undefined.</summary>
    Persistent,
}
