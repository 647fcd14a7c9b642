namespace BlockLayer.Libvirt;

/// <summary>How a disk is copied (<c>virDomainBlockCopyFlags</c>).</summary>
[Flags]
public enum BlockCopyFlags
{
    /// <summary>The whole chain, to a file that is created.</summary>
    None = 0,

    /// <summary>Copy the top image only; source and copy share the rest of the chain. Since 1.2.8.</summary>
    Shallow = 1,

    /// <summary>The file of the copy exists already. Since 1.2.8.</summary>
    ReuseExternal = 2,

    /// <summary>The job may be lost when the domain stops, so a persistent domain may have it. Since 3.5.0.</summary>
    TransientJob = 4,

    /// <summary>A guest's write completes when it is in the copy too, so the job converges under load. Since 8.0.0.</summary>
    SynchronousWrites = 8,
}
