namespace BlockLayer.Libvirt;

/// <summary>Whether a domain's disks are open (<c>virDomainState</c>, the two states that a set of disks can have).</summary>
public enum DomainState
{
    /// <summary>The disks are open and take requests and jobs.</summary>
    Running = 1,

    /// <summary>Nothing is open.</summary>
    ShutOff = 5,
}
