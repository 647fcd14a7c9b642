namespace BlockLayer.Libvirt;

/// <summary>Which description of a domain is asked for (<c>virDomainXMLFlags</c>).</summary>
[Flags]
public enum DomainXmlFlags
{
    /// <summary>As it is now.</summary>
    None = 0,

    /// <summary>As it will be at its next start, also while it runs.</summary>
    Inactive = 2,
}
