using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Gives every owner of a cluster one of its own: tables and data with several owners are copied behind the end of the file, and only then entries are made to lead to
/// the copies. What each owner read before, it reads afterwards.
/// </summary>
/// <remarks>
/// Tables come first and keep their place before data does. Copies together are no longer than the file, and no longer than a bound: tables that lead to each
/// other could ask for any amount. Who gets none goes on sharing, and the image stays corrupt.
/// </remarks>
internal sealed class QedSeparator
{
    private readonly BlockEdge _file;
    private readonly QedHeader _header;
    private readonly QedGeometry _geometry;
    private readonly ImageExtent _extent;
    private readonly ClusterSet _owned = new();
    private readonly SortedDictionary<long, ulong> _switches = []; // position of an entry to what it will hold
    private long _next;
    private long _left; // clusters

    internal QedSeparator(BlockEdge file, QedHeader header)
    {
        _file = file;
        _header = header;
        _geometry = header.Geometry;
        _extent = new ImageExtent(header, file.Child.Length);
        _next = Alignment.DivideRoundUp(file.Child.Length, _geometry.ClusterSize);
        _left = Math.Min(file.Child.Length, QedLimits.MaxRepairCopiesLength) >> _geometry.ClusterBits;
    }

    /// <summary>Copies, durably; then entries lead to the copies, durably.</summary>
    /// <returns>How many clusters and tables were copied.</returns>
    internal async ValueTask<int> RunAsync()
    {
        List<(HostOffset Source, HostOffset Place)> tables = await FindTablesAsync().ConfigureAwait(false);
        int copies = tables.Count(static table => table.Source != table.Place);
        foreach ((HostOffset source, HostOffset place) in tables.OrderBy(static table => table.Source != table.Place))
        {
            copies += await SeparateDataAsync(source, place).ConfigureAwait(false);
        }

        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await EntryWriter.WriteAsync(_file, _switches).ConfigureAwait(false);
        return copies;
    }

    private async ValueTask<List<(HostOffset Source, HostOffset Place)>> FindTablesAsync()
    {
        var l1 = new HostOffset((long)_header.L1TableOffset);
        _owned.TryAddRange(l1.Value >> _geometry.ClusterBits, _geometry.TableSize);
        List<(HostOffset Source, HostOffset Place)> tables = [];
        await foreach (TableChunk chunk in TableChunk.ReadTableAsync(_file, l1, _geometry, CancellationToken.None).ConfigureAwait(false))
        {
            for (int i = 0; i < chunk.Entries.Length; i++)
            {
                ulong offset = chunk.Entries[i];
                if (offset == 0 || _extent.JudgePlace(offset, _geometry.TableLength) != OffsetFault.None)
                {
                    continue;
                }

                var source = new HostOffset((long)offset);
                if (_owned.TryAddRange(source.Value >> _geometry.ClusterBits, _geometry.TableSize))
                {
                    tables.Add((source, source));
                }
                else if (TryTake(_geometry.TableSize) is { } place)
                {
                    _switches[chunk.EntryAt(i)] = (ulong)place.Value;
                    tables.Add((source, place));
                }
            }
        }

        return tables;
    }

    private async ValueTask<int> SeparateDataAsync(HostOffset source, HostOffset place)
    {
        int copies = 0;
        if (place != source)
        {
            // Holes of the table are not copied, and the file ends behind it.
            await _file.WriteZeroesAsync(place.Value, _geometry.TableLength, ZeroFlags.None, CancellationToken.None).ConfigureAwait(false);
        }

        await foreach (TableChunk chunk in TableChunk.ReadTableAsync(_file, source, _geometry, CancellationToken.None).ConfigureAwait(false))
        {
            for (int i = 0; i < chunk.Entries.Length;)
            {
                int run = new L2Entry(chunk.Entries[i]).Kind == ClusterKind.Data ? TableSector.CountContiguous(chunk.Entries.AsSpan(i), _geometry.ClusterSize) : 0;
                if (run > 0 && !TryOwnRun(chunk.Entries[i], run))
                {
                    copies += await CopySharedAsync(chunk, i, run, isInPlace: place == source).ConfigureAwait(false);
                }

                i += Math.Max(run, 1);
            }

            if (place != source)
            {
                byte[] bytes = new byte[chunk.Entries.Length * L2Entry.Size];
                TableSector.Encode(chunk.Entries, bytes);
                await _file.WriteAsync(place.Value + (chunk.At.Value - source.Value), bytes, CancellationToken.None).ConfigureAwait(false);
            }
        }

        return copies;
    }

    private bool TryOwnRun(ulong offset, int count)
        => _extent.JudgePlace(offset, (long)count << _geometry.ClusterBits) == OffsetFault.None
            && _owned.TryAddRange((long)offset >> _geometry.ClusterBits, count);

    private async ValueTask<int> CopySharedAsync(TableChunk chunk, int first, int count, bool isInPlace)
    {
        int copies = 0;
        byte[] cluster = new byte[_geometry.ClusterSize];
        for (int i = first; i < first + count; i++)
        {
            ulong offset = chunk.Entries[i];
            if (_extent.JudgePlace(offset, _geometry.ClusterSize) != OffsetFault.None)
            {
                chunk.Entries[i] = isInPlace ? offset : 0; // in a copy it can be cleared at once
            }
            else if (!_owned.Add((long)offset >> _geometry.ClusterBits) && TryTake(1) is { } place)
            {
                await _file.ReadAsync((long)offset, cluster, CancellationToken.None).ConfigureAwait(false);
                await _file.WriteAsync(place.Value, cluster, CancellationToken.None).ConfigureAwait(false);
                copies++;
                chunk.Entries[i] = (ulong)place.Value;
                if (isInPlace)
                {
                    _switches[chunk.EntryAt(i)] = (ulong)place.Value;
                }
            }
        }

        return copies;
    }

    private HostOffset? TryTake(int clusters)
    {
        if (clusters > _left)
        {
            return null;
        }

        _left -= clusters;
        var place = new HostOffset(_next << _geometry.ClusterBits);
        _next += clusters;
        return place;
    }
}
