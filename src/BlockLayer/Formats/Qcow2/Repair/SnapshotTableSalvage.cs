using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Keeps what can be read of a snapshot table that nobody relies on: too much extra data is cut, and an entry that is not in the file, lies on something else or is
/// beyond a limit goes, with all that follow it. So does one that says nothing: it is what follows a table, and what comes behind it is something else.
/// </summary>
/// <remarks>
/// The old table stays as it is: it may lie on somebody's data. The new one is built in memory, what it leads to is repaired, and one sector of the header switches
/// to it. What only the dropped snapshots used is free after the refcounts have been repaired.
/// </remarks>
internal sealed class SnapshotTableSalvage
{
    private readonly SnapshotTableReading _found;

    private SnapshotTableSalvage(SnapshotTableReading found, SnapshotTable kept)
    {
        _found = found;
        Kept = kept;
    }

    /// <summary>The snapshots that stay, each with what of its L1 table is in the file.</summary>
    public SnapshotTable Kept { get; }

    /// <summary>What can be kept of a table that cannot stay; null where it can.</summary>
    /// <param name="found">The table.</param>
    /// <param name="header">The header that leads to it.</param>
    /// <param name="fileLength">Bytes in the file.</param>
    /// <param name="isApart">False where something else lies in its clusters, so that nothing in them may be changed.</param>
    public static SnapshotTableSalvage? Of(SnapshotTableReading found, Qcow2Header header, long fileLength, bool isApart)
    {
        ClusterGeometry g = header.CreateGeometry();
        bool isEmptySound = header.Version == 2 && found.Fault is null; // version 2 allows entries of nothing but zeroes
        SnapshotEntry[] kept = [.. found.Entries
            .TakeWhile(row => header.FindSnapshotOverlap(row.Range, g) is null && (isEmptySound || !row.Entry.IsEmpty))
            .Select(static row => row.IsIntact ? row.Entry : row.Entry.WithEndedTexts())];
        SnapshotEntry[] repaired = [.. kept.Select(entry => SnapshotTableRepair.WithL1InFile(entry, g, fileLength))];
        bool mayStay = found.Fault is null && kept.Length == found.Entries.Count && (isApart || repaired.SequenceEqual(kept));
        return mayStay ? null : new SnapshotTableSalvage(found, SnapshotTable.Create(repaired));
    }

    /// <summary>Leads the header to the new table: behind the end of the file, or where the old one starts, if all that stays is its beginning.</summary>
    /// <exception cref="BlockLayerException">NoSpace: the file ends where no table can lie behind it; Io.</exception>
    public async ValueTask CarryOutAsync(BlockEdge file, ClusterGeometry g, HeaderStore header, RepairLog log)
    {
        uint before = header.Current.SnapshotCount;
        HostOffset place = default;
        if (IsBeginningOfOld())
        {
            place = header.Current.SnapshotsOffset;
        }
        else if (Kept.Entries.Count > 0)
        {
            place = PlaceBehind(file.Child.Length, g);
            byte[] bytes = new byte[Kept.Length];
            Kept.WriteTo(bytes);
            await file.WriteAsync(place.Value, bytes, CancellationToken.None).ConfigureAwait(false);
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }

        await header.UpdateAsync(changed => changed with { SnapshotCount = (uint)Kept.Entries.Count, SnapshotsOffset = place }).ConfigureAwait(false);
        Tell(before, log);
    }

    private HostOffset PlaceBehind(long fileLength, ClusterGeometry g)
        => fileLength <= (1L << Qcow2Limits.HostOffsetBits) - Kept.Length - g.ClusterSize
            ? new HostCluster(g.ClustersFor(fileLength)).Offset(g)
            : throw new BlockLayerException(BlockErrorKind.NoSpace, $"The file is {fileLength} bytes long; there is no place behind it for a snapshot table.");

    private bool IsBeginningOfOld()
        => Kept.Entries.Count > 0 && Kept.Entries.Zip(_found.Entries).All(static pair => pair.Second.IsIntact && pair.First.Raw.Span.SequenceEqual(pair.Second.Entry.Raw.Span));

    private void Tell(uint before, RepairLog log)
    {
        string reason = _found.Fault is { } fault ? $" ({fault.Message.TrimEnd('.')})" : "";
        log.Add(Kept.Entries.Count < before
            ? $"{Kept.Entries.Count} of {before} snapshots are left; nothing can be read of the others{reason}."
            : $"The snapshot table was written anew, without what of its entries cannot be kept{reason}.");
    }
}
