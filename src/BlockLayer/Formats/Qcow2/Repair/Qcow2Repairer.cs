using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Brings the metadata of an image back into agreement, so that <see cref="Qcow2Checker"/> finds nothing, and no readable guest byte is lost.</summary>
/// <remarks>
/// <code>
///   corrupt bit set ── snapshot table ── entries that lead nowhere ── copies for contested clusters ── refcounts ── copied flags ── corrupt and dirty bits cleared
/// </code>
/// <para>Each step begins with a count of what is there then, is durable before the next, and leaves nothing to do when it has been done: after a crash another
/// repair goes the same way, and finds part of it gone. Meanwhile version 3 has the corrupt bit, so nobody allocates by counts that are not right yet; version 2
/// has no such bit, and an image whose repair was cut off is to be repaired again before it is written.</para>
/// <para>Refcounts alone decide nothing about data: a cluster that several lead to is copied for each before counts are touched, and a count goes
/// down only when everything that may refer to the cluster could be looked at.</para>
/// </remarks>
internal sealed class Qcow2Repairer(BlockEdge file, GuestData data, ClusterGeometry g, HeaderStore header)
{
    private const int Parts = 3; // check, repair, check

    /// <summary>Copies make new entries, which may need another round; what is left after so many is left.</summary>
    private const int MaxRounds = 4;

    private readonly EdgeMetadataReader _reader = new(file);
    private readonly RepairLog _log = new();
    private bool _isMarked;

    /// <summary>Checks, repairs what was found and checks again. Nobody uses the image meanwhile, and nothing of it is in memory only.</summary>
    /// <exception cref="BlockLayerException">
    /// NoSpace, Io, Unsupported; Denied, and nothing has changed: data has to be copied, is encrypted, and the passphrase was not given.
    /// </exception>
    public async ValueTask<ImageRepairReport> RepairAsync(RepairMode mode, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        PartialProgress? told = PartialProgress.Of(progress, Parts);
        ImageCheckReport before = await Qcow2Checker.CheckAsync(_reader, header.Current, told, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        bool isMarked = (header.Current.Incompatible & (IncompatibleFeatures.Dirty | IncompatibleFeatures.Corrupt)) != 0;
        ImageCheckReport after = before;
        for (int round = 0; round < MaxRounds && !after.IsClean; round++)
        {
            long changes = _log.Count;
            await (mode == RepairMode.All ? RepairAllAsync(after) : RepairLeaksAsync()).ConfigureAwait(false);
            told?.Next();
            after = await Qcow2Checker.CheckAsync(_reader, header.Current, told, CancellationToken.None).ConfigureAwait(false);
            if (_log.Count == changes)
            {
                break;
            }
        }

        if (after is { Corruptions: 0, CheckErrors: 0 } && (isMarked || _isMarked))
        {
            await header.UpdateAsync(static changed => changed with
            {
                Incompatible = changed.Incompatible & ~(IncompatibleFeatures.Dirty | IncompatibleFeatures.Corrupt),
            }).ConfigureAwait(false);
            if (isMarked)
            {
                _log.Add("The image is no longer marked as dirty or corrupt.");
            }
        }

        return new ImageRepairReport { Before = before, After = after, Repairs = _log.Sentences };
    }

    private async ValueTask RepairLeaksAsync()
    {
        CountedImage image = await CountAllAsync().ConfigureAwait(false);
        RefcountRepair refcounts = new(file, g, header, _log);
        if (image.Tally.IsIncomplete || refcounts.AreBlocksUnsound(image))
        {
            return;
        }

        await refcounts.AdjustAsync(image, RepairMode.Leaks).ConfigureAwait(false);
        if ((ulong)image.Tally[ImageFaultKind.Corruption] == image.Tally.CopiedFlags && await AreCountsRightAsync().ConfigureAwait(false))
        {
            // A count that went down to one wants its flag, and nothing else is wrong that could make the flag a lie.
            await RepairCopiedFlagsAsync(await LoadSnapshotsAsync().ConfigureAwait(false)).ConfigureAwait(false);
        }
    }

    private async ValueTask RepairAllAsync(ImageCheckReport found)
    {
        SnapshotTableSalvage? salvage = await FindSalvageAsync().ConfigureAwait(false);
        CountedImage asFound = await CountAsync(salvage?.Kept).ConfigureAwait(false);
        if (IsL1SizeALie(asFound))
        {
            return; // what lies there would be taken for entries, and moved, and changed
        }

        ThrowIfDataIsNeeded(asFound);
        if (found.Corruptions > 0 || salvage is not null)
        {
            await MarkCorruptAsync().ConfigureAwait(false);
        }

        if (salvage is not null)
        {
            await DropUnfollowableAsync(salvage.Kept, isWritten: false).ConfigureAwait(false);
            await salvage.CarryOutAsync(file, g, header, _log).ConfigureAwait(false);
        }

        SnapshotTable snapshots = await LoadSnapshotsAsync().ConfigureAwait(false);
        await new SnapshotTableRepair(file, g, header, _log).RepairPlacesAsync(snapshots).ConfigureAwait(false);
        await DropUnfollowableAsync(await LoadSnapshotsAsync().ConfigureAwait(false), isWritten: true).ConfigureAwait(false);
        await SeparateAsync().ConfigureAwait(false);
        snapshots = await LoadSnapshotsAsync().ConfigureAwait(false);
        CountedImage image = await CountAsync().ConfigureAwait(false);
        if (image.Tally.IsIncomplete)
        {
            return;
        }

        RefcountRepair refcounts = new(file, g, header, _log);
        await (refcounts.NeedsRebuild(image) ? refcounts.RebuildAsync(image) : refcounts.AdjustAsync(image, RepairMode.All)).ConfigureAwait(false);
        await RepairCopiedFlagsAsync(snapshots).ConfigureAwait(false);
    }

    private async ValueTask<SnapshotTableSalvage?> FindSalvageAsync()
    {
        SnapshotTableReading table = await SnapshotTableReader.ReadAsync(_reader, header.Current, CancellationToken.None).ConfigureAwait(false);
        CountedImage image = await CountAsync().ConfigureAwait(false);
        HostCluster first = header.Current.SnapshotsOffset.Cluster(g);
        bool isApart = table.Fault is null && !Enumerable.Range(0, (int)g.ClustersFor(table.Length)).Any(i => image.IsContested(first.Plus(i)));
        return SnapshotTableSalvage.Of(table, header.Current, file.Child.Length, isApart);
    }

    /// <summary>Asks before the first change whether data will have to be copied, which encrypted data is decrypted and encrypted for.</summary>
    /// <exception cref="BlockLayerException">Denied: it is encrypted, and the passphrase was not given.</exception>
    private void ThrowIfDataIsNeeded(CountedImage image)
    {
        for (long? from = data.IsEncrypted ? 0 : null; from is { } first;)
        {
            var contested = ContestedClusters.Find(image, g, first);
            if (contested.IncludeData(image.References))
            {
                data.ThrowIfNotWithinReach();
            }

            from = contested.Rest;
        }
    }

    /// <summary>True when the active L1 table is said to be longer than the disk needs, and something else lies in the part that nobody needs.</summary>
    private bool IsL1SizeALie(CountedImage image)
    {
        HostCluster first = header.Current.L1TableOffset.Cluster(g);
        long needed = g.ClustersFor(g.L1EntriesFor(header.Current.VirtualSize) * L1Entry.Size);
        long length = g.ClustersFor((long)header.Current.L1Size * L1Entry.Size);
        for (long i = needed; i < length; i++)
        {
            long cluster = first.Plus(i).Index;
            if (image.References.Counts[cluster] > 1 || image.References.Overflown.Contains(cluster))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Everything that is repaired where it is, before the file grows.</summary>
    /// <param name="snapshots">The snapshots.</param>
    /// <param name="isWritten">False where the table in the file is another one, which nobody relies on.</param>
    private async ValueTask DropUnfollowableAsync(SnapshotTable snapshots, bool isWritten)
    {
        UnfollowableEntries entries = new(file, g, header.Current, _log);
        SnapshotTable? replacement = isWritten ? null : snapshots;
        MappedTables tables = TablesOf(snapshots);
        await entries.RepairL1Async(tables, await CountAsync(replacement).ConfigureAwait(false)).ConfigureAwait(false);
        CountedImage image = await CountAsync(replacement).ConfigureAwait(false);
        if (await new BitmapRepair(_reader, g, header, _log).RepairAsync(image).ConfigureAwait(false))
        {
            image = await CountAsync(replacement).ConfigureAwait(false);
        }

        await entries.RepairL2Async(tables, image).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Copies for everybody who leads to a contested cluster; then the tables that were contested themselves are repaired.</summary>
    private async ValueTask SeparateAsync()
    {
        AppendedRoom room = new(file, g);
        SnapshotTable snapshots = await LoadSnapshotsAsync().ConfigureAwait(false);
        await new SnapshotTableRepair(file, g, header, _log).CompleteAsync(snapshots, room).ConfigureAwait(false);
        for (long? from = 0; from is not null;)
        {
            CountedImage image = await CountAsync().ConfigureAwait(false);
            var contested = ContestedClusters.Find(image, g, from.Value);
            if (!contested.IsEmpty)
            {
                snapshots = await LoadSnapshotsAsync().ConfigureAwait(false);
                if (await new StructureSeparation(file, g, header, contested, _log).SeparateAsync(snapshots, room).ConfigureAwait(false))
                {
                    continue;
                }

                await new ClusterSeparation(file, data, g, header.Current, contested, room, _log).RunAsync(TablesOf(snapshots)).ConfigureAwait(false);
            }

            from = contested.Rest;
        }

        MappedTables separate = TablesOf(await LoadSnapshotsAsync().ConfigureAwait(false));
        UnfollowableEntries entries = new(file, g, header.Current, _log);
        await entries.RepairL1Async(separate, await CountAsync().ConfigureAwait(false)).ConfigureAwait(false);
        await entries.RepairL2Async(separate, await CountAsync().ConfigureAwait(false)).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask RepairCopiedFlagsAsync(SnapshotTable snapshots)
    {
        StoredRefcounts stored = await StoredRefcounts.LoadAsync(_reader, header.Current, g, CancellationToken.None).ConfigureAwait(false);
        await new CopiedFlagRepair(file, g, header.Current, stored, _log).RepairAsync(TablesOf(snapshots)).ConfigureAwait(false);
    }

    private async ValueTask<bool> AreCountsRightAsync()
    {
        ImageCheckReport report = await Qcow2Checker.CheckAsync(_reader, header.Current, progress: null, CancellationToken.None).ConfigureAwait(false);
        CountedImage image = await CountAllAsync().ConfigureAwait(false);
        return report is { Leaks: 0, CheckErrors: 0 } && (ulong)report.Corruptions == image.Tally.CopiedFlags;
    }

    private async ValueTask MarkCorruptAsync()
    {
        if (header.Current.Version >= 3 && !header.Current.HasFeature(IncompatibleFeatures.Corrupt))
        {
            await header.UpdateAsync(static changed => changed with { Incompatible = changed.Incompatible | IncompatibleFeatures.Corrupt }).ConfigureAwait(false);
            _isMarked = true;
        }
    }

    private ValueTask<CountedImage> CountAsync(SnapshotTable? replacement = null)
        => Qcow2Checker.CountAsync(_reader, header.Current, CountedReferences.Followable, replacement, CancellationToken.None);

    private ValueTask<CountedImage> CountAllAsync() => Qcow2Checker.CountAsync(_reader, header.Current, CountedReferences.All, CancellationToken.None);

    private ValueTask<SnapshotTable> LoadSnapshotsAsync() => SnapshotTableLoader.LoadAsync(_reader, header.Current, CancellationToken.None);

    private MappedTables TablesOf(SnapshotTable snapshots) => new(file, g, header.Current, snapshots);
}
