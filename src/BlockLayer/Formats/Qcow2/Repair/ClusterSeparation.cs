using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Gives every user of a contested cluster one of its own: L2 tables and data are copied behind the end of the file, and only then entries are made to lead to the
/// copies. What each user read before, it reads afterwards.
/// </summary>
/// <remarks>
/// <code>
///   L1 entry ─► table ─► data          first come, first served: whoever claims a cluster first keeps it
///   L1 entry ─► table                  copy of the table, of what its entries lead to where that is contested too
/// </code>
/// </remarks>
internal sealed class ClusterSeparation
{
    private readonly BlockEdge _file;
    private readonly GuestData _data;
    private readonly ClusterGeometry _g;
    private readonly ContestedClusters _contested;
    private readonly AppendedRoom _room;
    private readonly RepairLog _log;
    private readonly EntryRepair _repair;
    private readonly bool _hasDataFile;
    private readonly EntrySwitches _switches;
    private readonly byte[] _cluster;

    /// <summary>A separation of these clusters.</summary>
    public ClusterSeparation(BlockEdge file, GuestData data, ClusterGeometry g, Qcow2Header header, ContestedClusters contested, AppendedRoom room, RepairLog log)
    {
        _file = file;
        _data = data;
        _g = g;
        _contested = contested;
        _room = room;
        _log = log;
        _repair = new EntryRepair(g, header, file.Child.Length);
        _hasDataFile = header.HasFeature(IncompatibleFeatures.ExternalDataFile);
        _switches = new EntrySwitches(file);
        _cluster = new byte[g.ClusterSize];
    }

    /// <summary>Copies what has to be copied, durably; then entries lead to the copies, durably.</summary>
    public async ValueTask RunAsync(MappedTables tables)
    {
        List<Table> found = await FindTablesAsync(tables).ConfigureAwait(false);
        foreach (Table table in found.Where(static table => table.IsInPlace).OrderBy(static table => table.Source.Value))
        {
            await SeparateDataAsync(table).ConfigureAwait(false);
        }

        foreach (Table table in found.Where(static table => !table.IsInPlace))
        {
            await SeparateDataAsync(table).ConfigureAwait(false);
        }

        if (_switches.Count > 0)
        {
            await _switches.CarryOutAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The L2 tables as they will be: those that exist, and copies for L1 entries that must not lead to them.</summary>
    private async ValueTask<List<Table>> FindTablesAsync(MappedTables tables)
    {
        List<Table> all = [];
        Dictionary<(long Source, long? Index), Table> found = [];
        await foreach (MappedTables.L1Use use in tables.AllEntriesAsync().ConfigureAwait(false))
        {
            HostOffset source = use.Entry.L2Table;
            bool mayStay = _contested.TryClaim(source.Cluster(_g), ClusterUser.L2Table(use.Index));
            (long Source, long? Index) key = (source.Value, mayStay ? null : use.Index);
            if (!found.TryGetValue(key, out Table? table) || (!table.IsInPlace && table.Weight == _g.MaxRefcount))
            {
                HostOffset place = source;
                if (!mayStay && _room.TryTake(1) is { } own)
                {
                    place = own;
                }
                else if (!mayStay)
                {
                    key = (source.Value, null);
                    found.TryGetValue(key, out table);
                }

                if (mayStay || place != source || table is null)
                {
                    table = new Table(source, place, use.Index);
                    all.Add(table);
                    found[key] = table;
                }
            }

            table.Weight++;
            if (!table.IsInPlace)
            {
                _switches.Add(use.At, use.Entry.WithTable(table.Place).WithCopied(false).Raw);
                if (_log.Note())
                {
                    _log.Say($"The L1 table entry at byte {use.At.Value} got a copy of its table at byte {source.Value}, to which something else leads too: byte {table.Place.Value}.");
                }
            }
        }

        return all;
    }

    private async ValueTask SeparateDataAsync(Table table)
    {
        byte[] bytes = new byte[_g.ClusterSize];
        await _file.ReadPaddedAsync(table.Source.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        for (int i = NextInUse(bytes, 0); i < _g.L2Entries; i = NextInUse(bytes, i + 1))
        {
            ExtendedL2Entry decided = _repair.Decide(new L2EntryBytes(bytes, _g)[i]);
            ExtendedL2Entry separate = !_hasDataFile && (decided.Cluster.IsCompressed || decided.Cluster.HostOffset.Value != 0)
                ? await SeparateAsync(table, i, decided).ConfigureAwait(false)
                : decided;
            new L2EntryBytes(bytes, _g)[i] = separate;
            if (table.IsInPlace && separate != decided)
            {
                SwitchInPlace(table.Source.Plus(i * _g.L2EntrySize), separate);
            }
        }

        if (!table.IsInPlace)
        {
            await _file.WriteAsync(table.Place.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private int NextInUse(byte[] bytes, int first) => new L2EntryBytes(bytes, _g).NextInUse(first);

    private void SwitchInPlace(HostOffset at, ExtendedL2Entry entry)
    {
        _switches.Add(at, entry.Cluster.Raw);
        if (_g.L2EntryFormat == L2EntryFormat.Extended)
        {
            _switches.Add(at.Plus(L2Entry.Size), entry.Subclusters);
        }
    }

    /// <summary>The entry, leading to a copy where it must not lead to what it does.</summary>
    private async ValueTask<ExtendedL2Entry> SeparateAsync(Table table, int index, ExtendedL2Entry entry)
    {
        if (entry.Cluster.IsCompressed)
        {
            CompressedDescriptor stream = entry.Cluster.Compressed(_g);
            return _contested.TryClaim(stream.FirstCluster(_g), stream.LastCluster(_g), ClusterUser.Streams, table.Weight)
                || _room.TryTake(1) is not { } own
                    ? entry
                    : new ExtendedL2Entry(await CopyStreamAsync(stream, own).ConfigureAwait(false), 0);
        }

        var guest = new GuestCluster((table.L1Index << _g.L2Bits) + index);
        if (_contested.TryClaim(entry.Cluster.HostOffset.Cluster(_g), ClusterUser.Data(guest), table.Weight) || _room.TryTake(1) is not { } place)
        {
            return entry;
        }

        GuestOffset at = guest.Offset(_g);
        await _data.ReadAsync(entry.Cluster.HostOffset, at, _cluster, CancellationToken.None).ConfigureAwait(false);
        await _data.WriteAsync(place, at, _cluster, CancellationToken.None).ConfigureAwait(false);
        if (_log.Note())
        {
            _log.Say($"The data of {guest} at byte {entry.Cluster.HostOffset.Value}, to which something else leads too, was copied to byte {place.Value}.");
        }

        return entry with { Cluster = entry.Cluster.WithHost(place).WithCopied(false) };
    }

    private async ValueTask<L2Entry> CopyStreamAsync(CompressedDescriptor stream, HostOffset place)
    {
        byte[] bytes = new byte[Math.Min(stream.Length, _g.ClusterSize)]; // no stream is longer, whatever the descriptor says
        await _file.ReadPaddedAsync(stream.Offset.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        await _file.WriteAsync(place.Value, bytes, CancellationToken.None).ConfigureAwait(false);
        if (_log.Note())
        {
            _log.Say($"The compressed stream at byte {stream.Offset.Value}, to whose cluster something else leads too, was copied to byte {place.Value}.");
        }

        return L2Entry.ForCompressed(CompressedDescriptor.ForStream(place, bytes.Length, _g), _g);
    }

    /// <summary>An L2 table: what is in it, where it will be, and how many L1 entries will lead there.</summary>
    private sealed class Table(HostOffset source, HostOffset place, long l1Index)
    {
        public HostOffset Source { get; } = source;

        public HostOffset Place { get; } = place;

        public long L1Index { get; } = l1Index;

        public ulong Weight { get; set; }

        public bool IsInPlace => Source == Place;
    }
}
