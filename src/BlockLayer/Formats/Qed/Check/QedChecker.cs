using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Walks the tables on disk and counts what is wrong: qed_spec, "Consistency checking". Reads only; nobody changes the image meanwhile. Every cluster is to
/// have one owner, every offset is to lie inside the file.
/// </summary>
internal sealed class QedChecker
{
    private const int MaxFindings = 1000; // listed; all are counted

    private readonly BlockEdge _file;
    private readonly QedHeader _header;
    private readonly QedGeometry _geometry;
    private readonly ImageExtent _extent;
    private readonly ClusterSet _owned = new();
    private readonly List<ImageCheckFinding> _findings = [];
    private long _allocated;
    private long _fragmented;
    private long _badOffsets;
    private long _shared;
    private long _end; // first cluster after everything that has an owner

    internal QedChecker(BlockEdge file, QedHeader header)
    {
        _file = file;
        _header = header;
        _geometry = header.Geometry;
        _extent = new ImageExtent(header, file.Child.Length);
        _end = header.HeaderSize;
    }

    /// <summary>Called with every chunk that has entries which cannot be followed, and which those are; a repair clears them.</summary>
    internal Func<TableChunk, IReadOnlyList<int>, ValueTask>? OnBadEntries { get; init; }

    /// <summary>Told how far the check is.</summary>
    internal IProgress<ByteProgress>? Progress { get; init; }

    /// <summary>Checks the whole image, once.</summary>
    /// <exception cref="Errors.BlockLayerException">Io.</exception>
    internal async ValueTask<QedCheckResult> CheckAsync(CancellationToken cancellationToken)
    {
        var l1Table = new HostOffset((long)_header.L1TableOffset);
        OwnTable(l1Table, "The header");
        await foreach (TableChunk chunk in TableChunk.ReadTableAsync(_file, l1Table, _geometry, cancellationToken).ConfigureAwait(false))
        {
            await CheckL1ChunkAsync(chunk, (chunk.At.Value - l1Table.Value) / L2Entry.Size, cancellationToken).ConfigureAwait(false);
        }

        long fileClusters = _file.Child.Length >> _geometry.ClusterBits;
        var report = new ImageCheckReport
        {
            Corruptions = _badOffsets + _shared,
            Leaks = fileClusters - _header.HeaderSize - _owned.Count,
            Findings = _findings,
            TotalClusters = Alignment.DivideRoundUp((long)_header.ImageSize, _geometry.ClusterSize),
            AllocatedClusters = _allocated,
            FragmentedClusters = _fragmented,
            ImageEndOffset = _end << _geometry.ClusterBits,
        };
        return new QedCheckResult(report, _badOffsets, _shared);
    }

    private async ValueTask CheckL1ChunkAsync(TableChunk chunk, long firstIndex, CancellationToken cancellationToken)
    {
        var bad = new List<int>();
        for (int i = 0; i < chunk.Entries.Length; i++)
        {
            ulong offset = chunk.Entries[i];
            if (offset == 0)
            {
                continue;
            }

            if (!IsSound("L1 entry", chunk.EntryAt(i), offset, _geometry.TableLength))
            {
                bad.Add(i);
            }
            else if (OwnTable(new HostOffset((long)offset), $"The L1 entry at byte {chunk.EntryAt(i)}"))
            {
                await CheckL2TableAsync(new HostOffset((long)offset), cancellationToken).ConfigureAwait(false);
            }

            ReportProgress(firstIndex + i);
        }

        await ReportBadAsync(chunk, bad).ConfigureAwait(false);
    }

    private async ValueTask CheckL2TableAsync(HostOffset table, CancellationToken cancellationToken)
    {
        ulong previous = 0;
        await foreach (TableChunk chunk in TableChunk.ReadTableAsync(_file, table, _geometry, cancellationToken).ConfigureAwait(false))
        {
            var bad = new List<int>();
            previous = CheckClusters(chunk, previous, bad);
            await ReportBadAsync(chunk, bad).ConfigureAwait(false);
        }
    }

    /// <summary>Judges the data entries of a chunk; <paramref name="previous"/> is the last one before it, 0 if there was none.</summary>
    /// <returns>The last data entry up to here.</returns>
    private ulong CheckClusters(TableChunk chunk, ulong previous, List<int> bad)
    {
        for (int i = 0; i < chunk.Entries.Length;)
        {
            ulong offset = chunk.Entries[i];
            if (new L2Entry(offset).Kind != ClusterKind.Data)
            {
                i++;
                continue;
            }

            int count = TableSector.CountContiguous(chunk.Entries.AsSpan(i), _geometry.ClusterSize);
            _allocated += count;
            _fragmented += previous != 0 && previous + (ulong)_geometry.ClusterSize != offset ? 1 : 0;
            if (!TryOwnRun(offset, count))
            {
                CheckOneByOne(chunk, i, count, bad);
            }

            i += count;
            previous = chunk.Entries[i - 1];
        }

        return previous;
    }

    /// <summary>Counts a run of data clusters as owned if nothing is wrong with any of it.</summary>
    private bool TryOwnRun(ulong offset, int count)
    {
        long first = (long)offset >> _geometry.ClusterBits;
        if (_extent.JudgePlace(offset, (long)count << _geometry.ClusterBits) != OffsetFault.None || !_owned.TryAddRange(first, count))
        {
            return false;
        }

        _end = Math.Max(_end, first + count);
        return true;
    }

    private void CheckOneByOne(TableChunk chunk, int first, int count, List<int> bad)
    {
        for (int i = first; i < first + count; i++)
        {
            ulong offset = chunk.Entries[i];
            if (!IsSound("L2 entry", chunk.EntryAt(i), offset, _geometry.ClusterSize))
            {
                bad.Add(i);
            }
            else if (!Own((long)offset >> _geometry.ClusterBits))
            {
                _shared++;
                AddFinding($"The cluster at byte {offset}, which the L2 entry at byte {chunk.EntryAt(i)} holds, has another owner.");
            }
        }
    }

    private bool IsSound(string subject, long entryAt, ulong offset, long length)
    {
        OffsetFault fault = _extent.JudgePlace(offset, length);
        if (fault == OffsetFault.None)
        {
            return true;
        }

        _badOffsets++;
        AddFinding($"{subject} at byte {entryAt} holds 0x{offset:x}, which {_extent.Describe(fault)}.");
        return false;
    }

    /// <summary>Counts the clusters of a table as owned; false if some were already: what lies there may then be anything.</summary>
    private bool OwnTable(HostOffset table, string owner)
    {
        long first = table.Value >> _geometry.ClusterBits;
        int shared = 0;
        for (int i = 0; i < _geometry.TableSize; i++)
        {
            shared += Own(first + i) ? 0 : 1;
        }

        if (shared > 0)
        {
            _shared += shared;
            AddFinding($"{owner} leads to a table at byte {table.Value}, {shared} clusters of which have another owner.");
        }

        return shared == 0;
    }

    private bool Own(long cluster)
    {
        _end = Math.Max(_end, cluster + 1);
        return _owned.Add(cluster);
    }

    private ValueTask ReportBadAsync(TableChunk chunk, List<int> bad)
        => bad.Count > 0 && OnBadEntries is { } report ? report(chunk, bad) : ValueTask.CompletedTask;

    private void ReportProgress(long l1Index)
    {
        long total = (long)_header.ImageSize;
        bool isLast = l1Index >= (total - 1) / _geometry.TableReach;
        Progress?.Report(new ByteProgress(isLast ? total : (l1Index + 1) * _geometry.TableReach, total));
    }

    private void AddFinding(string message)
    {
        if (_findings.Count < MaxFindings)
        {
            _findings.Add(new ImageCheckFinding(ImageFaultKind.Corruption, message));
        }
    }
}
