namespace BlockLayer.Libvirt;

/// <summary>What a connection is good for.</summary>
public enum ConnectionAccess
{
    /// <summary>Everything.</summary>
    ReadWrite,

    /// <summary>Looking: every call that changes something is refused.</summary>
    ReadOnly,
}
