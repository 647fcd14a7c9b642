using System.Numerics;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Changes of the format's own properties. Each is one step that a crash leaves undone or done; an upgrade comes first and a downgrade last, so that what lies between is valid.
internal sealed partial class Qcow2Node : IAmendableImage
{
    /// <inheritdoc/>
    public async ValueTask AmendAsync(IReadOnlyDictionary<string, string> options, CancellationToken cancellationToken)
    {
        Qcow2AmendOptions amended = Qcow2AmendOptions.Parse(options);
        amended.ThrowIfContradictory(Header);
        using GraphChange change = await BeginTableChangeAsync("it can be amended", cancellationToken).ConfigureAwait(false);
        bool downgrades = amended.Version == 2 && Header.Version > 2;
        if (downgrades)
        {
            await ThrowIfCannotDowngradeAsync(cancellationToken).ConfigureAwait(false); // before anything else is changed
        }

        if (amended.Version == 3 && Header.Version < 3)
        {
            await UpgradeAsync(cancellationToken).ConfigureAwait(false);
        }

        if (amended.RefcountBits is { } bits && BitOperations.Log2((uint)bits) != Header.RefcountOrder)
        {
            await ChangeRefcountWidthAsync(BitOperations.Log2((uint)bits), cancellationToken).ConfigureAwait(false);
        }

        if (amended.LazyRefcounts is { } lazy)
        {
            await AllowLazyRefcountsAsync(lazy).ConfigureAwait(false);
        }

        if (downgrades)
        {
            await DowngradeAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Version 3: snapshots say their size, and the header is longer.</summary>
    private async ValueTask UpgradeAsync(CancellationToken cancellationToken)
    {
        SnapshotTable snapshots = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        if (snapshots.Entries.Any(static entry => entry.DiskSize is null))
        {
            await ExchangeTablesAsync(
                async draft => new TableExchange(
                    _tables.L1,
                    _geometry,
                    await WriteSnapshotsAsync(draft, snapshots, snapshots.Entries.Select(entry => entry.DiskSize is null ? entry.WithSizes((ulong)Header.VirtualSize) : entry)).ConfigureAwait(false)),
                cancellationToken).ConfigureAwait(false);
        }

        await ChangeVersionAsync(header => header with
        {
            Version = 3,
            RefcountOrder = Qcow2Limits.Version2RefcountOrder,
            AdditionalFields = Qcow2Header.NewAdditionalFields(CompressionType.Zlib),
        }).ConfigureAwait(false);
    }

    private ValueTask ChangeRefcountWidthAsync(int refcountOrder, CancellationToken cancellationToken)
        => ExchangeTablesAsync(
            _ => new(new TableExchange(
                _tables.L1,
                (Header with { RefcountOrder = refcountOrder }).CreateGeometry(),
                header => header with { RefcountOrder = refcountOrder })),
            cancellationToken);

    private async ValueTask AllowLazyRefcountsAsync(bool allowed)
    {
        await PrepareToWriteAsync().ConfigureAwait(false); // postponed counts are made good before they are forbidden
        await _writeBack.RunAloneAsync(() => _header.UpdateAsync(header => header with
        {
            Compatible = allowed ? header.Compatible | CompatibleFeatures.LazyRefcounts : header.Compatible & ~CompatibleFeatures.LazyRefcounts,
        })).ConfigureAwait(false);
    }

    /// <summary>Version 2: no entry says zero, no feature is in use, and the header is shorter.</summary>
    private async ValueTask DowngradeAsync(CancellationToken cancellationToken)
    {
        SnapshotTable snapshots = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        await ExchangeTablesAsync(
            async draft =>
            {
                List<ulong[]> tables = [_tables.L1.CopyTo(_tables.L1.Count)];
                foreach (SnapshotEntry snapshot in snapshots.Entries)
                {
                    tables.Add(await snapshot.LoadL1Async(new EdgeMetadataReader(_file), cancellationToken).ConfigureAwait(false));
                }

                await draft.ReplaceZeroEntriesAsync(tables, HasBacking, cancellationToken).ConfigureAwait(false);
                await draft.SettleFlagsAsync(tables[0], users: 1, others: 0, cancellationToken).ConfigureAwait(false);
                var entries = new List<SnapshotEntry>();
                foreach ((SnapshotEntry snapshot, ulong[] words) in snapshots.Entries.Zip(tables.Skip(1)))
                {
                    draft.DropTable(snapshot.L1TableOffset, snapshot.L1TableRange.Length);
                    entries.Add(snapshot.WithL1(await draft.WriteTableAsync(WordTable.ToBytes(words)).ConfigureAwait(false), (uint)words.Length));
                }

                Func<Qcow2Header, Qcow2Header> header = await WriteSnapshotsAsync(draft, snapshots, entries).ConfigureAwait(false);
                return new TableExchange(await WriteL1Async(draft, tables[0]).ConfigureAwait(false), _geometry, header);
            },
            cancellationToken).ConfigureAwait(false);
        await ChangeVersionAsync(static header => header with
        {
            Version = 2,
            Incompatible = IncompatibleFeatures.None,
            Compatible = CompatibleFeatures.None,
            Autoclear = AutoclearFeatures.None,
            AdditionalFields = default,
            Extensions = header.Extensions.Without(HeaderExtensionType.Bitmaps), // out of date, or the downgrade was refused
        }).ConfigureAwait(false);
    }

    private async ValueTask ThrowIfCannotDowngradeAsync(CancellationToken cancellationToken)
    {
        string? obstacle = Header.HasFeature(IncompatibleFeatures.ExternalDataFile) ? "it has an external data file"
            : Header.HasFeature(IncompatibleFeatures.ExtendedL2) ? "it has extended L2 entries"
            : Header.Encryption != EncryptionMethod.None ? "it is encrypted, so clusters of zeroes would not read as such"
            : _bitmaps.Bitmaps.Count > 0 ? "it has bitmaps; remove them first"
            : Header.AdditionalFields.Length > Qcow2Header.NewAdditionalFields(default).Length ? "its header has fields that are not known here"
            : null;
        SnapshotTable snapshots = await LoadSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        if (snapshots.Entries.FirstOrDefault(entry => entry.VmStateSize > uint.MaxValue || entry.DiskSize is { } size && size != (ulong)Header.VirtualSize) is { } odd)
        {
            obstacle ??= $"snapshot '{odd.Name}' has another disk size, or more than {uint.MaxValue} bytes of VM state";
        }

        if (obstacle is not null)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' cannot become version 2 (compat=0.10): {obstacle}.");
        }
    }

    /// <summary>Writes a header of another length. The node is drained and everything is on disk.</summary>
    private async ValueTask ChangeVersionAsync(Func<Qcow2Header, Qcow2Header> change)
    {
        await PrepareToWriteAsync().ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false);
        await _writeBack.RunAloneAsync(async () =>
        {
            Qcow2Header next = change(Header);
            HeaderChangePlan plan = VersionChangePlan.TryCreate(_header.FirstCluster, next)
                ?? throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' cannot become version {next.Version}: the first cluster has no room to move extensions and backing file name such that a crash cannot tear them.");
            _isMapped = false;
            _isPrepared = false;
            await _header.CarryOutAsync(plan).ConfigureAwait(false);
        }).ConfigureAwait(false);
        Adopt(new LoadedImage(Header, _header.FirstCluster.ToArray(), _tables.L1, _refcounts.Table));
    }
}
