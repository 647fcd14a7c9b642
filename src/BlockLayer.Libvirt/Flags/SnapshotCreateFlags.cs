namespace BlockLayer.Libvirt;

/// <summary>How a snapshot is made (<c>virDomainSnapshotCreateFlags</c>).</summary>
[Flags]
public enum SnapshotCreateFlags
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>Only take over a description; make nothing.</summary>
    Redefine = 1,

    /// <summary>With <see cref="Redefine"/>: make it the current one.</summary>
    Current = 2,

    /// <summary>Keep no record of it.</summary>
    NoMetadata = 4,

    /// <summary>Stop the domain, which is persistent, afterwards.</summary>
    Halt = 8,

    /// <summary>Disks only, no memory.</summary>
    DiskOnly = 16,

    /// <summary>The new files exist already.</summary>
    ReuseExternal = 32,

    /// <summary>Freeze the guest's file systems; needs an agent in the guest.</summary>
    Quiesce = 64,

    /// <summary>All disks or none. It is always so here.</summary>
    Atomic = 128,

    /// <summary>Save the guest's memory while the guest runs; there is no memory here.</summary>
    Live = 256,
}
