namespace BlockLayer.Libvirt;

/// <summary>What a guest takes a disk for: the attribute <c>device</c>.</summary>
public enum DiskDevice
{
    /// <summary>A hard disk.</summary>
    Disk,

    /// <summary>A CD-ROM drive: read-only, and it may be empty.</summary>
    CdRom,

    /// <summary>A floppy drive, which may be empty.</summary>
    Floppy,
}
