using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Gives leaked clusters back: QED has no list of free clusters, so the file is cut behind what is in use, after data at its end was moved into leaked clusters below.
/// Tables stay where they are.
/// </summary>
/// <remarks>
/// A moved cluster is durable before its entry leads to it, and that before the file is cut. Nothing is moved or cut while a cluster has several owners, or an entry
/// leads nowhere: who needs what is not known then.
/// </remarks>
internal sealed class QedCompactor(BlockEdge file, QedHeader header)
{
    private readonly QedGeometry _geometry = header.Geometry;
    private readonly ClusterSet _owned = new();
    private readonly List<HostOffset> _tables = [];

    /// <summary>Cuts the file; with <see cref="RepairMode.All"/> it moves data for that.</summary>
    /// <returns>What was done, for the report; null when there was nothing to do.</returns>
    internal async ValueTask<string?> RunAsync(RepairMode mode)
    {
        QedCheckResult found = await new QedChecker(file, header).CheckAsync(CancellationToken.None).ConfigureAwait(false);
        if (found.Report.Corruptions > 0 || found.Report.Leaks == 0)
        {
            return null;
        }

        long end = found.Report.ImageEndOffset >> _geometry.ClusterBits;
        long before = file.Child.Length;
        int moved = 0;
        if (mode == RepairMode.All)
        {
            await FindOwnersAsync().ConfigureAwait(false);
            long lastTableEnd = _tables.Max(static table => table.Value) + _geometry.TableLength >> _geometry.ClusterBits;
            end = Math.Max(header.HeaderSize + _owned.Count, lastTableEnd);
            moved = await MoveBelowAsync(end).ConfigureAwait(false);
        }

        if (end << _geometry.ClusterBits < before)
        {
            await file.ResizeAsync(end << _geometry.ClusterBits, new ResizeOptions { AllowShrink = true }, CancellationToken.None).ConfigureAwait(false);
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }

        return $"The file was cut from {before} to {end << _geometry.ClusterBits} bytes{(moved > 0 ? $", after {moved} clusters at its end were moved into unused ones" : "")}.";
    }

    private async ValueTask FindOwnersAsync()
    {
        OwnTable(new HostOffset((long)header.L1TableOffset));
        await foreach (TableChunk chunk in TableChunk.ReadTableAsync(file, _tables[0], _geometry, CancellationToken.None).ConfigureAwait(false))
        {
            foreach (ulong offset in chunk.Entries.Where(static offset => offset != 0))
            {
                OwnTable(new HostOffset((long)offset));
            }
        }

        foreach (HostOffset table in _tables.Skip(1))
        {
            await foreach (TableChunk chunk in TableChunk.ReadTableAsync(file, table, _geometry, CancellationToken.None).ConfigureAwait(false))
            {
                foreach (ulong offset in chunk.Entries.Where(static offset => new L2Entry(offset).Kind == ClusterKind.Data))
                {
                    _owned.Add((long)offset >> _geometry.ClusterBits);
                }
            }
        }
    }

    private void OwnTable(HostOffset table)
    {
        _tables.Add(table);
        _owned.TryAddRange(table.Value >> _geometry.ClusterBits, _geometry.TableSize);
    }

    private async ValueTask<int> MoveBelowAsync(long end)
    {
        SortedDictionary<long, ulong> switches = [];
        long free = header.HeaderSize;
        byte[] cluster = new byte[_geometry.ClusterSize];
        foreach (HostOffset table in _tables.Skip(1))
        {
            await foreach (TableChunk chunk in TableChunk.ReadTableAsync(file, table, _geometry, CancellationToken.None).ConfigureAwait(false))
            {
                for (int i = 0; i < chunk.Entries.Length; i++)
                {
                    ulong offset = chunk.Entries[i];
                    if (new L2Entry(offset).Kind != ClusterKind.Data || (long)offset >> _geometry.ClusterBits < end)
                    {
                        continue;
                    }

                    while (_owned.Contains(free))
                    {
                        free++;
                    }

                    await file.ReadAsync((long)offset, cluster, CancellationToken.None).ConfigureAwait(false);
                    await file.WriteAsync(free << _geometry.ClusterBits, cluster, CancellationToken.None).ConfigureAwait(false);
                    switches[chunk.EntryAt(i)] = (ulong)free << _geometry.ClusterBits;
                    free++;
                }
            }
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await EntryWriter.WriteAsync(file, switches).ConfigureAwait(false);
        return switches.Count;
    }
}
