using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Finds what is wrong with an image's metadata, and writes nothing. It counts how often everything in the file refers to each host cluster, compares that
/// with the stored refcounts, and judges every table entry on the way.
/// </summary>
/// <remarks>
/// Finding the same numbers as <c>qemu-img check</c> is the contract, down to what counts twice. Memory is two bytes for each cluster in use and a table
/// or two; time is bounded by what is in the file, neither by what it claims nor by how long its holes are. So files of more than 2^31 clusters, which QEMU
/// refuses to check, are checked too.
/// </remarks>
internal sealed class Qcow2Checker
{
    /// <summary>
    /// L2 tables at offsets that are no cluster's. QEMU follows all; they may overlap, so only so many are followed here, and an image that has one is
    /// damaged beyond what the exact numbers could tell.
    /// </summary>
    private const int MaxUnalignedTables = 1024;

    private const int TablesPerReport = 16;

    private readonly IMetadataReader _file;
    private readonly Qcow2Header _header;
    private readonly ClusterGeometry _g;
    private readonly CheckTally _tally = new();
    private readonly ReferenceCounter _references;
    private readonly CountedReferences _counted;
    private SnapshotTable? _replacement; // of the snapshot table in the file; null for none
    private ImageFormatException? _contradiction; // of the snapshot table, with what a reader like QEMU does not compare it with

    private Qcow2Checker(IMetadataReader file, Qcow2Header header, CountedReferences counted)
    {
        _counted = counted;
        _file = file;
        _header = header;
        _g = header.CreateGeometry();
        _references = new ReferenceCounter(_g, file.Length, _tally);
    }

    /// <summary>Checks an image that nobody writes to meanwhile.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="header">Its validated header.</param>
    /// <param name="progress">Told now and then; null for nobody.</param>
    /// <param name="cancellationToken">Stops the check.</param>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static ValueTask<ImageCheckReport> CheckAsync(IMetadataReader file, Qcow2Header header, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
        => new Qcow2Checker(file, header, CountedReferences.All).RunAsync(progress, cancellationToken);

    /// <summary>Counts how often everything but the refcount table and its blocks refers to each cluster: what the refcounts of a dirty image have to become.</summary>
    /// <exception cref="BlockLayerException">Corrupt: a part of the image could not be looked at, or a count does not fit; Unsupported, Io.</exception>
    public static async ValueTask<ReferenceCounter> CountReferencesAsync(IMetadataReader file, Qcow2Header header, CancellationToken cancellationToken)
    {
        CountedImage counted = await CountAsync(file, header, CountedReferences.All, cancellationToken).ConfigureAwait(false);
        if (counted.Tally.IsIncomplete || counted.References.Overflown.Count > 0)
        {
            throw new BlockLayerException(
                BlockErrorKind.Corrupt, $"The refcounts cannot be rebuilt: {(counted.Tally.Findings is [var first, ..] ? first.Message : "a part of the image cannot be read.")}");
        }

        return counted.References;
    }

    /// <summary>Counts how often everything but the refcount table and its blocks refers to each cluster, and keeps what was seen on the way.</summary>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static ValueTask<CountedImage> CountAsync(IMetadataReader file, Qcow2Header header, CountedReferences counted, CancellationToken cancellationToken)
        => CountAsync(file, header, counted, snapshots: null, cancellationToken);

    /// <summary>Counts as if the snapshot table were another one, whose place nobody knows yet.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="header">Its validated header.</param>
    /// <param name="counted">Which references.</param>
    /// <param name="snapshots">The snapshots; null for those of the file.</param>
    /// <param name="cancellationToken">Stops the count.</param>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static async ValueTask<CountedImage> CountAsync(
        IMetadataReader file, Qcow2Header header, CountedReferences counted, SnapshotTable? snapshots, CancellationToken cancellationToken)
    {
        Qcow2Checker checker = new(file, header, counted) { _replacement = snapshots };
        StoredRefcounts stored = await StoredRefcounts.LoadAsync(file, header, checker._g, cancellationToken).ConfigureAwait(false);
        await checker.CountUsersAsync(stored, progress: null, cancellationToken).ConfigureAwait(false);
        return new CountedImage(stored, checker._references, checker._tally);
    }

    private async ValueTask<ImageCheckReport> RunAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        StoredRefcounts stored = await StoredRefcounts.LoadAsync(_file, _header, _g, cancellationToken).ConfigureAwait(false);
        L2TableCheck entries = await CountUsersAsync(stored, progress, cancellationToken).ConfigureAwait(false);
        _references.Add(_header.RefcountTableOffset, (long)_header.RefcountTableClusters * _g.ClusterSize);
        CheckRefcountTable(stored.Table);
        long lastUsed = Compare(stored);
        if (_contradiction is { } contradiction && _tally[ImageFaultKind.Corruption] == 0)
        {
            Corruption(contradiction.Message); // QEMU reads on with zeroes and finds nothing; here nobody writes to such an image
        }

        return new ImageCheckReport
        {
            Corruptions = _tally[ImageFaultKind.Corruption],
            Leaks = _tally[ImageFaultKind.Leak],
            CheckErrors = _tally[ImageFaultKind.NotChecked],
            TotalClusters = _g.ClustersFor(Alignment.RoundDown(_header.VirtualSize, Qcow2Limits.SectorLength)),
            AllocatedClusters = (long)entries.Allocated,
            FragmentedClusters = (long)entries.Fragmented,
            CompressedClusters = (long)entries.Compressed,
            ImageEndOffset = (lastUsed + 1) << _g.ClusterBits,
            Findings = _tally.Findings,
        };
    }

    /// <summary>Counts every reference but those of the refcount table and its blocks.</summary>
    private async ValueTask<L2TableCheck> CountUsersAsync(StoredRefcounts stored, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        _references.AddMetadata(new HostOffset(0), _g.ClusterSize, _references.Structures);
        L2TableSet tables = await CheckL1TablesAsync(stored, cancellationToken).ConfigureAwait(false);
        L2TableCheck entries = await CheckL2TablesAsync(tables, stored, progress, cancellationToken).ConfigureAwait(false);
        AddEncryptionHeader();
        await new BitmapCheck(_file, _g, _header, _references, _tally).CheckAsync(cancellationToken).ConfigureAwait(false);
        return entries;
    }

    private async ValueTask<L2TableSet> CheckL1TablesAsync(StoredRefcounts stored, CancellationToken cancellationToken)
    {
        L1TableCheck check = new(_file, _g, _references, stored, _tally, _counted);
        await check.CheckAsync(new ByteRange(_header.L1TableOffset.Value, (long)_header.L1Size * L1Entry.Size), weight: 1, isActive: true, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<SnapshotEntry> snapshots = _replacement?.Entries ?? await CheckSnapshotTableAsync(cancellationToken).ConfigureAwait(false);
        foreach (var group in snapshots.Where(HasReadableL1Table).GroupBy(static snapshot => snapshot.L1TableRange))
        {
            if (!await check.CheckAsync(group.Key, (ulong)group.Count(), isActive: false, cancellationToken).ConfigureAwait(false))
            {
                Corruption("The L1 tables of the snapshots are longer than the file, so they overlap.");
                break;
            }
        }

        return check.Tables;
    }

    /// <summary>Judges the snapshot table; its entries, none where a limit keeps it from being read.</summary>
    private async ValueTask<IReadOnlyList<SnapshotEntry>> CheckSnapshotTableAsync(CancellationToken cancellationToken)
    {
        SnapshotTableReading found = await SnapshotTableReader.ReadAsync(_file, _header, cancellationToken).ConfigureAwait(false);
        _tally.IsIncomplete |= found.Fault is not null;
        _contradiction = found.Contradiction;
        if (found.Limit is { } limit)
        {
            // What the snapshots use is then unknown and will be counted as leaked, which is why this is told first.
            if (_tally.Count(ImageFaultKind.NotChecked))
            {
                _tally.Describe(ImageFaultKind.NotChecked, limit.Message);
            }

            return [];
        }

        _references.AddMetadata(_header.SnapshotsOffset, found.Length, _references.Structures);
        SnapshotEntry[] snapshots = [.. found.Entries.Select(static row => row.Entry)];
        CheckSnapshotEntries(snapshots, found.Missing);
        return snapshots;
    }

    // An offset of 2^63 or more can be told: it leads behind the end of the file.
    private bool HasReadableL1Table(SnapshotEntry snapshot)
        => snapshot.L1TableOffset.IsAligned(_g) && snapshot.L1TableRange.Length <= Qcow2Limits.MaxL1TableLength;

    private void CheckSnapshotEntries(SnapshotEntry[] snapshots, long missing)
    {
        if (_header.HasFeature(IncompatibleFeatures.ExternalDataFile) && _header.SnapshotCount > 0)
        {
            Corruption("The image has snapshots and an external data file.");
        }

        foreach (SnapshotEntry snapshot in snapshots.Where(snapshot => !HasReadableL1Table(snapshot)))
        {
            _tally.IsIncomplete = true;
            Corruption($"Snapshot \"{snapshot.Name}\" has an L1 table of {snapshot.L1Size} entries at byte {(ulong)snapshot.L1TableOffset.Value}.");
        }

        // qcow2 spec, "Snapshots": version 3 images must include extra data at least up to byte 55.
        if (_header.Version >= 3)
        {
            foreach (SnapshotEntry snapshot in snapshots.Where(static snapshot => snapshot is { IsEmpty: false, DiskSize: null }))
            {
                Corruption($"Snapshot \"{snapshot.Name}\" does not say the size of its disk.");
            }

            long empty = missing + snapshots.LongCount(static snapshot => snapshot.IsEmpty);
            if (empty > 0 && _tally.Corruption((ulong)empty))
            {
                _tally.Describe(ImageFaultKind.Corruption, missing > 0 ? _contradiction!.Message : _header.DescribeEmptySnapshots(empty));
            }
        }
    }

    private async ValueTask<L2TableCheck> CheckL2TablesAsync(
        L2TableSet tables, StoredRefcounts stored, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        L2TableCheck check = new(_g, _header, _references, stored, _tally, _counted);
        byte[] buffer = new byte[_g.ClusterSize];
        int done = 0;
        int unaligned = 0;
        foreach ((HostOffset table, L2TableSet.Uses uses) in tables.InFileOrder)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (table.Value < _file.Length && (table.IsAligned(_g) || unaligned++ < MaxUnalignedTables))
            {
                await _file.ReadPaddedAsync(table.Value, buffer, cancellationToken).ConfigureAwait(false);
                check.Check(buffer, table, uses);
            }
            else
            {
                _tally.IsIncomplete |= table.Value < _file.Length;
            }

            if (++done % TablesPerReport == 0 && done < tables.Count)
            {
                // Tables of snapshots count too, so this is the share of the work, told in bytes of the disk.
                progress?.Report(new ByteProgress((long)((Int128)_header.VirtualSize * done / tables.Count), _header.VirtualSize));
            }
        }

        progress?.Report(new ByteProgress(_header.VirtualSize, _header.VirtualSize));
        return check;
    }

    private void AddEncryptionHeader()
    {
        // qcow2 spec, "Full disk encryption header pointer": offset and length, 8 bytes each.
        if (_header.Extensions.Find(HeaderExtensionType.EncryptionHeader) is { Data.Length: >= 16 } pointer)
        {
            ReadOnlySpan<byte> data = pointer.Data.Span;
            _references.AddMetadata(new HostOffset(BinaryPrimitives.ReadInt64BigEndian(data)), BinaryPrimitives.ReadInt64BigEndian(data[8..]), _references.Structures);
        }
    }

    /// <summary>Counts the refcount blocks last: one that something else refers to as well is found here.</summary>
    private void CheckRefcountTable(RefcountTableEntry[] table)
    {
        long end = (long)Int128.Min((Int128)_references.End << _g.ClusterBits, long.MaxValue);
        for (int i = 0; i < table.Length; i++)
        {
            RefcountTableEntry entry = table[i];
            EntryFault fault = entry.Validate(_g, end);
            if (entry.HasReservedBits || fault != EntryFault.None)
            {
                if (_tally.Corruption())
                {
                    string what = (entry.HasReservedBits ? EntryFault.ReservedBits : fault).Describe();
                    _tally.Describe(ImageFaultKind.Corruption, $"Refcount table entry {i} 0x{entry.Raw:x16} {what}.");
                }
            }
            else if (entry.IsAllocated)
            {
                _references.Add(entry.Block, _g.ClusterSize);
                ulong references = _references.Counts[entry.Block.Cluster(_g).Index];
                if (references != 1 && _tally.Corruption())
                {
                    _tally.Describe(ImageFaultKind.Corruption, $"Refcount block {i} at byte {entry.Block.Value} is referred to {references} times.");
                }
            }
        }
    }

    /// <summary>Compares stored with counted references; returns the last cluster that either knows.</summary>
    private long Compare(StoredRefcounts stored)
    {
        long end = _references.End;
        CountUnknown(stored, end);
        long lastUsed = 0;
        foreach (long page in ClusterCounts.PagesOf(stored.Counts, _references.Counts))
        {
            long first = page * ClusterCounts.PageLength;
            if (first >= end)
            {
                break;
            }

            ReadOnlySpan<byte> taken = stored.Counts.Page(page);
            ReadOnlySpan<byte> used = _references.Counts.Page(page);
            int length = (int)Math.Min(ClusterCounts.PageLength, end - first);
            if (AreEqual(taken, used, length))
            {
                int last = used.IsEmpty ? -1 : used[..length].LastIndexOfAnyExcept((byte)0);
                lastUsed = last < 0 ? lastUsed : first + last;
                continue;
            }

            for (long cluster = first; cluster < first + length; cluster++)
            {
                if (CompareCluster(cluster, stored))
                {
                    lastUsed = cluster;
                }
            }
        }

        return lastUsed;
    }

    /// <summary>Counts the clusters of the file whose refcounts cannot be read, each for itself as qemu-img does, but without a look at each: a file with holes has any number.</summary>
    private void CountUnknown(StoredRefcounts stored, long end)
    {
        foreach (long block in stored.UnreadableBlocks.Order())
        {
            long first = block << _g.RefcountBlockBits;
            long count = Math.Min(end - first, _g.RefcountBlockEntries);
            if (count > 0 && _tally.Count(ImageFaultKind.NotChecked, (ulong)count))
            {
                _tally.Describe(ImageFaultKind.NotChecked, $"The refcounts of {count} clusters from cluster {first} on cannot be read.");
            }
        }
    }

    /// <summary>True when two pages say the same of their first clusters, as almost all do. A page of zeroes may be missing.</summary>
    private static bool AreEqual(ReadOnlySpan<byte> taken, ReadOnlySpan<byte> used, int length)
    {
        if (taken.IsEmpty || used.IsEmpty)
        {
            return taken.IsEmpty && used.IsEmpty;
        }

        return taken[..length].SequenceEqual(used[..length]) && !used[..length].Contains(ClusterCounts.Large);
    }

    /// <summary>True when the cluster is used or taken.</summary>
    private bool CompareCluster(long cluster, StoredRefcounts stored)
    {
        if (!stored.IsKnown(new HostCluster(cluster)))
        {
            return false;
        }

        ulong refcount = stored.Counts[cluster];
        ulong references = _references.Counts[cluster];
        if (refcount != references)
        {
            ImageFaultKind kind = refcount < references ? ImageFaultKind.Corruption : ImageFaultKind.Leak;
            if (_tally.Count(kind))
            {
                _tally.Describe(kind, $"Cluster {cluster} has refcount {refcount} and is referred to {references} times.");
            }
        }

        return refcount > 0 || references > 0;
    }

    private void Corruption(string message)
    {
        if (_tally.Corruption())
        {
            _tally.Describe(ImageFaultKind.Corruption, message);
        }
    }
}
