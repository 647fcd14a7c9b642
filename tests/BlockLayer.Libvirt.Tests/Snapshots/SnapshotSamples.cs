namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Records of snapshots whose files go by letters: s1 froze a and put b on top, s2 froze b and put c on top.</summary>
internal static class SnapshotSamples
{
    internal static SnapshotRecord Record(string name, string? parent, string frozen, string overlay, MergeDirection onDelete = MergeDirection.Backward) => new()
    {
        Name = name,
        Parent = parent,
        Description = $"the snapshot <{name}> & its \"files\"",
        CreationTime = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000),
        State = DomainState.Running,
        Disks = [Disk("vda", frozen, overlay, onDelete), Disk("vdb", frozen + "2", overlay + "2", MergeDirection.Backward)],
    };

    internal static SnapshotDeletion Deletion(SnapshotRecord record) => new()
    {
        Snapshot = record.Name,
        Disks =
        [
            .. record.Disks.Select(disk => new DiskDeletion
            {
                Target = disk.Target,
                Merge = disk.OnDelete,
                StayingPath = disk.Frozen.Path,
                GoingPath = disk.Overlay.Path,
                ActivePath = "/vm/active",
                ActiveFormat = "qcow2",
                Relink = ["/vm/sibling one", "/vm/two"],
                Remove = [disk.Overlay.Path],
            }),
        ],
    };

    private static SnapshotDiskRecord Disk(string target, string frozen, string overlay, MergeDirection onDelete) => new()
    {
        Target = target,
        Frozen = new DiskSource(IsBlockDevice: false, "/vm/" + frozen),
        FrozenFormat = "qcow2",
        Overlay = new DiskSource(IsBlockDevice: false, "/vm/" + overlay),
        OverlayFormat = "qcow2",
        OnDelete = onDelete,
    };
}
