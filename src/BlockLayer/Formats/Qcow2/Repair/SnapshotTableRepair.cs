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
            if (ReadableEntries(snapshot) is var count && count != snapshot.L1Size)
            {
                ReadOnlyMemory<byte> old = snapshot.Raw[..L1WordsLength];
                await rewriter.WriteChangedAsync(at, old, snapshot.WithL1(count == 0 ? default : snapshot.L1TableOffset, count).Raw[..L1WordsLength]).ConfigureAwait(false);
                log.Add($"Snapshot \"{snapshot.Name}\" has {count} of {snapshot.L1Size} L1 table entries left; the others are not in the file.");
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

    /// <summary>L1 entries of a snapshot that can be in the file; the file may end inside the last cluster of them.</summary>
    private uint ReadableEntries(SnapshotEntry snapshot)
    {
        if (!snapshot.IsL1Locatable(g) || snapshot.L1TableOffset.Value >= file.Child.Length)
        {
            return 0;
        }

        long room = Alignment.RoundUp(file.Child.Length, g.ClusterSize) - snapshot.L1TableOffset.Value;
        return (uint)Math.Min(snapshot.L1Size, room / L1Entry.Size);
    }
}
