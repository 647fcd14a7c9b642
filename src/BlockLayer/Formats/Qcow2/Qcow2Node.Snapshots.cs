using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Internal snapshots. A snapshot is an L1 table of its own; the L2 tables and clusters it leads to are shared, and the refcounts say so.
internal sealed partial class Qcow2Node : ISnapshotImage
{
    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<SnapshotInfo>> ListSnapshotsAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser held = await _allocationLock.EnterAsync(cancellationToken).ConfigureAwait(false); // no table is exchanged meanwhile
        SnapshotTable table = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        return [.. table.Entries.Select(entry => entry.ToInfo(Header.VirtualSize))];
    }

    /// <inheritdoc/>
    public async ValueTask<SnapshotInfo> CreateSnapshotAsync(string name, CancellationToken cancellationToken)
    {
        SnapshotEntry.ThrowIfNotAName(name);
        using GraphChange change = await BeginSnapshotChangeAsync(cancellationToken).ConfigureAwait(false);
        SnapshotEntry? made = null;
        await ExchangeTablesAsync(
            async draft =>
            {
                SnapshotTable snapshots = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
                string id = snapshots.NextId();
                if (snapshots.Entries.Any(entry => entry.Id == id))
                {
                    throw Error(BlockErrorKind.Unsupported, $"There is no number left for the id of another snapshot; one is {ulong.MaxValue}.");
                }

                ulong[] words = _tables.L1.CopyTo(_tables.L1.Count);
                await draft.ChangeReferencesAsync(words, change: 1, cancellationToken).ConfigureAwait(false);
                await draft.SettleFlagsAsync(words, users: 2, others: 0, cancellationToken).ConfigureAwait(false);
                HostOffset kept = await draft.WriteTableAsync(WordTable.ToBytes(words)).ConfigureAwait(false);
                made = SnapshotEntry.Create(id, name, Environment.Time.GetUtcNow(), Header.VirtualSize, kept, (uint)words.Length);
                Func<Qcow2Header, Qcow2Header> header = await WriteSnapshotsAsync(draft, snapshots, [.. snapshots.Entries, made]).ConfigureAwait(false);
                return new TableExchange(await WriteL1Async(draft, words).ConfigureAwait(false), _geometry, header);
            },
            cancellationToken).ConfigureAwait(false);
        return made!.ToInfo(Length);
    }

    /// <inheritdoc/>
    public async ValueTask ApplySnapshotAsync(string idOrName, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginSnapshotChangeAsync(cancellationToken).ConfigureAwait(false);
        ThrowIfBitmaps($"switching to snapshot '{idOrName}'");
        await ExchangeTablesAsync(
            async draft =>
            {
                SnapshotEntry snapshot = (await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false)).Find(idOrName);
                long size = snapshot.RequireDiskSize(_geometry, Header.VirtualSize);
                if (size != Length)
                {
                    ThrowIfNotResizable();
                    ThrowIfNotWholeSectors(size);
                }

                // Only what maps the disk: the VM state belongs to the snapshot, and would show when the disk grew over it.
                ulong[] words = (await snapshot.LoadL1Async(new EdgeMetadataReader(_file), cancellationToken).ConfigureAwait(false))[..(int)_geometry.L1EntriesFor(size)];
                await draft.ChangeReferencesAsync(words, change: 1, cancellationToken).ConfigureAwait(false);
                await draft.ChangeReferencesAsync(_tables.L1.CopyTo(_tables.L1.Count), change: -1, cancellationToken).ConfigureAwait(false);
                await draft.SettleFlagsAsync(words, users: 1, others: 1, cancellationToken).ConfigureAwait(false);
                return new TableExchange(await WriteL1Async(draft, words).ConfigureAwait(false), _geometry, header => header with { VirtualSize = size });
            },
            cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DeleteSnapshotAsync(string idOrName, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginSnapshotChangeAsync(cancellationToken).ConfigureAwait(false);
        await ExchangeTablesAsync(
            async draft =>
            {
                SnapshotTable snapshots = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
                SnapshotEntry snapshot = snapshots.Find(idOrName);
                ulong[] dropped = await snapshot.LoadL1Async(new EdgeMetadataReader(_file), cancellationToken).ConfigureAwait(false);
                await draft.ChangeReferencesAsync(dropped, change: -1, cancellationToken).ConfigureAwait(false);
                draft.DropTable(snapshot.L1TableOffset, snapshot.L1TableRange.Length);
                ulong[] words = _tables.L1.CopyTo(_tables.L1.Count);
                await draft.SettleFlagsAsync(words, users: 1, others: 0, cancellationToken).ConfigureAwait(false);
                Func<Qcow2Header, Qcow2Header> header = await WriteSnapshotsAsync(draft, snapshots, snapshots.Entries.Where(entry => entry != snapshot)).ConfigureAwait(false);
                return new TableExchange(await WriteL1Async(draft, words).ConfigureAwait(false), _geometry, header);
            },
            cancellationToken).ConfigureAwait(false);
    }

    private ValueTask<GraphChange> BeginSnapshotChangeAsync(CancellationToken cancellationToken)
        => Header.HasFeature(IncompatibleFeatures.ExternalDataFile)
            ? throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' keeps its data in another file, which has no refcounts: such images have no snapshots.")
            : BeginTableChangeAsync("its snapshots can change", cancellationToken);

    /// <summary>The table, whose entries can be followed.</summary>
    private async ValueTask<SnapshotTable> LoadSnapshotsAsync(CancellationToken cancellationToken)
    {
        SnapshotTable table = await SnapshotTableLoader.LoadAsync(new EdgeMetadataReader(_file), Header, cancellationToken).ConfigureAwait(false);
        foreach (SnapshotEntry entry in table.Entries)
        {
            entry.Validate(_geometry, Header.SnapshotsOffset, _file.Child.Length);
        }

        return table;
    }

    /// <summary>The table, which has to be sound before anything is written: what snapshots use must not be allocated.</summary>
    /// <exception cref="BlockLayerException">Corrupt: it is not, and says so; nothing on disk is changed.</exception>
    private async ValueTask<SnapshotTable> LoadSnapshotsToWriteAsync()
    {
        try
        {
            return await SnapshotTableLoader.LoadAsync(new EdgeMetadataReader(_file), Header, CancellationToken.None).ConfigureAwait(false);
        }
        catch (ImageFormatException damage)
        {
            throw Error(
                BlockErrorKind.Corrupt,
                $"The snapshots cannot be read, so nobody knows what they use: {damage.Message} The image can be read, and is repaired by 'blk check -r all'.",
                damage.Offset,
                damage);
        }
    }

    /// <summary>Writes a snapshot table in place of the old one; what the header says of it.</summary>
    private async ValueTask<Func<Qcow2Header, Qcow2Header>> WriteSnapshotsAsync(TableDraft draft, SnapshotTable old, IEnumerable<SnapshotEntry> entries)
    {
        SnapshotTable table = SnapshotTable.Create(entries);
        draft.DropTable(Header.SnapshotsOffset, old.Length);
        if (table.Entries.Count == 0)
        {
            return static header => header with { SnapshotCount = 0, SnapshotsOffset = default };
        }

        byte[] bytes = new byte[table.Length];
        table.WriteTo(bytes);
        HostOffset start = await draft.WriteTableAsync(bytes).ConfigureAwait(false);
        return header => header with { SnapshotCount = (uint)table.Entries.Count, SnapshotsOffset = start };
    }

    /// <summary>Writes the L1 table of the disk in place of the present one.</summary>
    private async ValueTask<WordTable> WriteL1Async(TableDraft draft, ulong[] words)
    {
        draft.DropTable(_tables.L1.Start, (long)_tables.L1.Count * L1Entry.Size);
        return new WordTable(words.Length == 0 ? default : await draft.WriteTableAsync(WordTable.ToBytes(words)).ConfigureAwait(false), words);
    }
}
