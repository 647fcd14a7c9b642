using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Settles contested clusters among what is neither an L2 table nor data. The header, the encryption header and the active L1 table stay where they are; the
/// snapshot table and the L1 tables of snapshots get a place of their own where they lie on something.
/// </summary>
internal sealed class StructureSeparation(BlockEdge file, ClusterGeometry g, HeaderStore header, ContestedClusters contested, RepairLog log)
{
    /// <summary>Claims clusters for structures, and moves those that may not stay.</summary>
    /// <returns>True when something was moved, so that everything has to be counted again.</returns>
    public async ValueTask<bool> SeparateAsync(SnapshotTable snapshots, AppendedRoom room)
    {
        Qcow2Header current = header.Current;
        contested.TryClaim(new HostCluster(0), ClusterUser.Structure(0));
        Claim(new ByteRange(current.L1TableOffset.Value, (long)current.L1Size * L1Entry.Size), 1);
        if (EncryptionHeaderPointer.Find(current) is { } encryption)
        {
            Claim(encryption, 2);
        }

        var table = new ByteRange(current.SnapshotsOffset.Value, snapshots.Length);
        if (!Claim(table, 3) && await CopyAsync(table, "The snapshot table", room).ConfigureAwait(false) is { } place)
        {
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await header.UpdateAsync(changed => changed with { SnapshotsOffset = place }).ConfigureAwait(false);
            return true;
        }

        return await SeparateL1TablesAsync(snapshots, room).ConfigureAwait(false);
    }

    private async ValueTask<bool> SeparateL1TablesAsync(SnapshotTable snapshots, AppendedRoom room)
    {
        EntrySwitches switches = new(file);
        HostOffset at = header.Current.SnapshotsOffset;
        int number = 4;
        foreach (SnapshotEntry snapshot in snapshots.Entries)
        {
            if (snapshot.IsL1Locatable(g) && !Claim(snapshot.L1TableRange, number++)
                && await CopyAsync(snapshot.L1TableRange, $"The L1 table of snapshot \"{snapshot.Name}\"", room).ConfigureAwait(false) is { } place)
            {
                switches.Add(at, (ulong)place.Value); // the first word of the entry
            }

            at = at.Plus(snapshot.Raw.Length);
        }

        if (switches.Count > 0)
        {
            await switches.CarryOutAsync().ConfigureAwait(false);
        }

        return switches.Count > 0;
    }

    private bool Claim(ByteRange range, int number)
        => range.Length == 0 || contested.TryClaim(
            new HostOffset(range.Offset).Cluster(g), new HostOffset(range.Offset + range.Length - 1).Cluster(g), ClusterUser.Structure(number), weight: 1);

    private async ValueTask<HostOffset?> CopyAsync(ByteRange range, string what, AppendedRoom room)
    {
        if (room.TryTake(g.ClustersFor(range.Length)) is not { } place)
        {
            return null;
        }

        byte[] buffer = new byte[Math.Min(range.Length, 1 << 20)];
        for (long done = 0; done < range.Length; done += buffer.Length)
        {
            Memory<byte> part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, range.Length - done));
            await file.ReadPaddedAsync(range.Offset + done, part, CancellationToken.None).ConfigureAwait(false);
            await file.WriteAsync(place.Value + done, part, CancellationToken.None).ConfigureAwait(false);
        }

        log.Add($"{what} at byte {range.Offset}, where something else lies too, was copied to byte {place.Value}.");
        return place;
    }
}
