namespace BlockLayer.Libvirt;

/// <summary>How a disk takes part in a snapshot: the attribute <c>snapshot</c>.</summary>
public enum SnapshotLocation
{
    /// <summary><c>no</c>: not at all.</summary>
    None,

    /// <summary><c>external</c>: its file is kept as it is, and a new one goes on top.</summary>
    External,
}
