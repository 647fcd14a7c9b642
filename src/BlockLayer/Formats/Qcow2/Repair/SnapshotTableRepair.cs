using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Repairs what the snapshot table says by itself. A snapshot whose tables cannot be found any more stays in the list and is empty.</summary>
internal sealed class SnapshotTableRepair(BlockEdge file, ClusterGeometry g, HeaderStore header, RepairLog log)
{
    private const int L1WordsLength = 16; // offset and number of entries, and what is behind them up to the next word

    /// <summary>Cuts off what of L1 tables cannot be located or lies behind the end of the file, where the entries are.</summary>
    public async ValueTask RepairPlacesAsync(SnapshotTable snapshots)
    {
        TableRewriter rewriter = new(file);
        HostOffset at = header.Current.SnapshotsOffset;
        foreach (SnapshotEntry snapshot in snapshots.Entries)
        {
            SnapshotEntry repaired = WithL1InFile(snapshot, g, file.Child.Length);
            if (repaired != snapshot)
            {
                await rewriter.WriteChangedAsync(at, snapshot.Raw[..L1WordsLength], repaired.Raw[..L1WordsLength]).ConfigureAwait(false);
                log.Add($"Snapshot \"{snapshot.Name}\" has {repaired.L1Size} of {snapshot.L1Size} L1 table entries left; the others are not in the file.");
            }

            at = at.Plus(snapshot.Raw.Length);
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Writes the table anew, with the sizes that version 3 wants, behind the end of the file, and leads the header there.</summary>
    public async ValueTask CompleteAsync(SnapshotTable snapshots, AppendedRoom room)
    {
        if (header.Current.Version < 3 || snapshots.Entries.All(static snapshot => snapshot.DiskSize is not null))
        {
            return;
        }

        List<SnapshotEntry> entries = [.. snapshots.Entries.Select(snapshot => snapshot.DiskSize is null ? snapshot.WithSizes((ulong)header.Current.VirtualSize) : snapshot)];
        long length = entries.Sum(static entry => (long)entry.Raw.Length);
        if (length > Qcow2Limits.MaxSnapshotTableLength || room.TryTake(g.ClustersFor(length)) is not { } place)
        {
            return;
        }

        byte[] bytes = [.. entries.SelectMany(static entry => entry.Raw.ToArray())];
        await file.WriteAsync(place.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await header.UpdateAsync(changed => changed with { SnapshotsOffset = place }).ConfigureAwait(false);
        log.Add($"The snapshot table was written anew at byte {place.Value}, with the disk's size for snapshots that did not say it.");
    }

    /// <summary>The snapshot with those of its L1 entries that can be in the file; the file may end inside the last cluster of them.</summary>
    public static SnapshotEntry WithL1InFile(SnapshotEntry snapshot, ClusterGeometry g, long fileLength)
    {
        bool isInFile = snapshot.IsL1Locatable(g) && snapshot.L1TableOffset.Value < fileLength;
        long room = isInFile ? Alignment.RoundUp(fileLength, g.ClusterSize) - snapshot.L1TableOffset.Value : 0;
        uint count = (uint)Math.Min(snapshot.L1Size, room / L1Entry.Size);
        return count == snapshot.L1Size ? snapshot : snapshot.WithL1(count == 0 ? default : snapshot.L1TableOffset, count);
    }
}
