using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Finds out where the metadata of an image is, from the tables that are in memory and the snapshot table.</summary>
internal static class MetadataMap
{
    /// <summary>Tells <paramref name="guard"/> of every cluster of metadata it is to know.</summary>
    /// <exception cref="ImageFormatException">Corrupt: two pieces of metadata overlap, or a table entry cannot be followed. InvalidFormat: a snapshot's L1 table.</exception>
    internal static async ValueTask FillAsync(
        MetadataOverlapGuard guard, BlockEdge file, ClusterGeometry geometry, Qcow2Header header, WordTable l1, WordTable refcountTable, SnapshotTable snapshots)
    {
        guard.Clear(); // an earlier try may have failed half way
        long fileLength = file.Child.Length;
        guard.Add(new HostCluster(0), MetadataKind.Header);
        guard.Add(refcountTable.Start, (long)header.RefcountTableClusters * geometry.ClusterSize, MetadataKind.RefcountTable);
        guard.Add(l1.Start, (long)l1.Count * L1Entry.Size, MetadataKind.L1Table);
        var reader = new EdgeMetadataReader(file);
        AddSnapshots(guard, file, geometry, header, snapshots);
        if (EncryptionHeaderPointer.Find(header) is { } encryptionHeader)
        {
            guard.Add(new HostOffset(encryptionHeader.Offset), encryptionHeader.Length, MetadataKind.EncryptionHeader);
        }

        AddBitmapDirectory(guard, geometry, header);
        AddRefcountBlocks(guard, geometry, refcountTable, fileLength);
        AddL2Tables(guard, geometry, l1, fileLength);
        foreach (SnapshotEntry snapshot in snapshots.Entries)
        {
            AddL2TablesOfSnapshot(guard, geometry, await snapshot.LoadL1Async(reader, CancellationToken.None).ConfigureAwait(false), fileLength);
        }
    }

    private static void AddSnapshots(MetadataOverlapGuard guard, BlockEdge file, ClusterGeometry geometry, Qcow2Header header, SnapshotTable snapshots)
    {
        guard.Add(header.SnapshotsOffset, snapshots.Length, MetadataKind.SnapshotTable);
        foreach (SnapshotEntry snapshot in snapshots.Entries.OrderBy(static snapshot => snapshot.L1TableOffset.Value))
        {
            // Each is apart from the one before, or the guard objects: so together they are no longer than the file.
            snapshot.Validate(geometry, header.SnapshotsOffset, file.Child.Length);
            guard.Add(snapshot.L1TableOffset, snapshot.L1TableRange.Length, MetadataKind.L1Table);
        }
    }

    private static void AddBitmapDirectory(MetadataOverlapGuard guard, ClusterGeometry geometry, Qcow2Header header)
    {
        // Without the bit the extension is stale, and what it points to may be anything by now. A directory that cannot be located is reported by a check.
        if ((header.Autoclear & AutoclearFeatures.Bitmaps) != 0
            && header.Extensions.Find(HeaderExtensionType.Bitmaps) is { Data.Length: BitmapsExtension.Size } found
            && BitmapsExtension.Parse(found.Data.Span) is var bitmaps && bitmaps.IsValid(geometry))
        {
            guard.Add(bitmaps.DirectoryOffset, bitmaps.DirectoryLength, MetadataKind.BitmapDirectory);
        }
    }

    private static void AddRefcountBlocks(MetadataOverlapGuard guard, ClusterGeometry geometry, WordTable table, long fileLength)
    {
        for (int i = 0; i < table.Count; i++)
        {
            var entry = new RefcountTableEntry(table[i]);
            EntryFault fault = entry.Validate(geometry, fileLength);
            if (fault.IsFatal())
            {
                throw fault.ToException("refcount table entry", entry.Raw, table.PositionOf(i));
            }

            if (entry.IsAllocated)
            {
                guard.Add(entry.Block.Cluster(geometry), MetadataKind.RefcountBlock);
            }
        }
    }

    private static void AddL2Tables(MetadataOverlapGuard guard, ClusterGeometry geometry, WordTable l1, long fileLength)
    {
        HashSet<long> shared = [];
        for (int i = 0; i < l1.Count; i++)
        {
            var entry = new L1Entry(l1[i]);
            EntryFault fault = entry.Validate(geometry, fileLength);
            if (fault.IsFatal())
            {
                throw fault.ToException("L1 table entry", entry.Raw, l1.PositionOf(i));
            }

            // Two entries may lead to one table as long as neither claims it for itself: it is copied before either changes it.
            if (entry.IsAllocated && (entry.IsCopied || shared.Add(entry.L2Table.Value)))
            {
                guard.Add(entry.L2Table.Cluster(geometry), MetadataKind.L2Table);
            }
        }
    }

    /// <summary>A snapshot's tables are mostly shared with others. What it refers to and cannot be located is the snapshot's damage, and no reason to refuse the guest's writes.</summary>
    private static void AddL2TablesOfSnapshot(MetadataOverlapGuard guard, ClusterGeometry geometry, ulong[] l1, long fileLength)
    {
        foreach (ulong word in l1)
        {
            var entry = new L1Entry(word);
            if (entry.IsAllocated && !entry.Validate(geometry, fileLength).IsFatal() && !guard.IsL2Table(entry.L2Table.Cluster(geometry)))
            {
                guard.Add(entry.L2Table.Cluster(geometry), MetadataKind.L2Table);
            }
        }
    }
}
