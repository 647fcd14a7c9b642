using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// What the header says of the snapshot table. No part of Validate: the disk is read without it, so damage there costs the snapshots and not the image.
internal sealed partial record Qcow2Header
{
    /// <summary>Why the table cannot start where the header says; null if nothing speaks against it.</summary>
    public ImageFormatException? FindSnapshotPlaceFault(ClusterGeometry g)
        => SnapshotsOffset.Value is < 0 or > long.MaxValue - int.MaxValue || !SnapshotsOffset.IsAligned(g)
            ? ImageFormatException.Invalid("snapshots_offset", SnapshotsOffsetAt, $"0x{SnapshotsOffset.Value:x}", $"a multiple of the cluster size {g.ClusterSize}")
            : null;

    /// <summary>Why readers give up on the number of snapshots; null if they do not.</summary>
    public ImageFormatException? FindSnapshotCountFault()
        => SnapshotCount > Qcow2Limits.MaxSnapshots
            ? ImageFormatException.OutOfRange("nb_snapshots", NbSnapshotsAt, SnapshotCount, 0, Qcow2Limits.MaxSnapshots)
            : null;

    /// <summary>What a part of the snapshot table lies on, of what the header locates; null for nothing.</summary>
    public ImageFormatException? FindSnapshotOverlap(ByteRange table, ClusterGeometry g)
        => table.Overlaps(new ByteRange(0, g.ClusterSize)) ? SnapshotOverlap(table, "header", new ByteRange(0, g.ClusterSize))
            : table.Overlaps(RefcountTableRange(g)) ? SnapshotOverlap(table, "refcount table", RefcountTableRange(g))
            : table.Overlaps(L1TableRange) ? SnapshotOverlap(table, "L1 table", L1TableRange)
            : null;

    /// <summary>That so many of the snapshots are none: there are zeroes where the table should say something of them.</summary>
    public string DescribeEmptySnapshots(long empty)
        => $"nb_snapshots is {SnapshotCount} at byte {NbSnapshotsAt}, but the table has {SnapshotCount - empty}; its other entries are empty.";

    private static ImageFormatException SnapshotOverlap(ByteRange table, string other, ByteRange otherRange)
        => ImageFormatException.Corrupt("snapshot table", SnapshotsOffsetAt, $"snapshot table {table} overlaps {other} {otherRange}.");
}
