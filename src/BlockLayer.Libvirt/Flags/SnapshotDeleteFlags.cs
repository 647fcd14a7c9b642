namespace BlockLayer.Libvirt;

/// <summary>What is deleted with a snapshot (<c>virDomainSnapshotDeleteFlags</c>).</summary>
[Flags]
public enum SnapshotDeleteFlags
{
    /// <summary>The snapshot; its children become children of its parent.</summary>
    None = 0,

    /// <summary>The snapshot and all that descend from it.</summary>
    Children = 1,

    /// <summary>Only what is recorded, not the files.</summary>
    MetadataOnly = 2,

    /// <summary>All that descend from it, not the snapshot.</summary>
    ChildrenOnly = 4,
}
