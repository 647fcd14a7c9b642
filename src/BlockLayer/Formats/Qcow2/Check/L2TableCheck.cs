using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Looks through L2 tables: counts what their entries refer to, and judges the entries.</summary>
internal sealed class L2TableCheck(ClusterGeometry g, Qcow2Header header, ReferenceCounter references, StoredRefcounts stored, CheckTally tally, CountedReferences counted)
{
    private readonly bool _hasDataFile = header.HasFeature(IncompatibleFeatures.ExternalDataFile);
    private readonly bool _extended = g.L2EntryFormat == L2EntryFormat.Extended;

    /// <summary>Guest clusters of the active disk with room in the file.</summary>
    public ulong Allocated { get; private set; }

    /// <summary>Those that do not follow their predecessor in the table.</summary>
    public ulong Fragmented { get; private set; }

    /// <summary>Those that are compressed.</summary>
    public ulong Compressed { get; private set; }

    /// <summary>Looks through one table.</summary>
    /// <param name="table">The table's bytes as they are on disk.</param>
    /// <param name="at">Where the table starts.</param>
    /// <param name="uses">How often what is found counts.</param>
    public void Check(ReadOnlySpan<byte> table, HostOffset at, L2TableSet.Uses uses)
    {
        // Nobody writes through a table that is not there, so its flags are nobody's. Where the table's own refcount cannot be read, QEMU compares none of its flags.
        ulong writable = at.Value == 0 || !stored.IsKnown(at.Cluster(g)) ? 0 : uses.Active;
        long nextContiguous = 0;
        int looksForRunsAt = 0;
        for (int i = 0; i < g.L2Entries; i++)
        {
            ReadOnlySpan<byte> bytes = table.Slice(i * g.L2EntrySize, g.L2EntrySize);
            L2Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(bytes));
            ulong subclusters = _extended ? BinaryPrimitives.ReadUInt64BigEndian(bytes[L2Entry.Size..]) : 0;
            if (entry.Raw == 0 && subclusters == 0)
            {
                continue;
            }

            if (i >= looksForRunsAt && RunLength(table, i, entry) is > 1 and int run)
            {
                if (IsSound(entry.HostOffset, run, compareCopied: writable != 0))
                {
                    references.Add(entry.HostOffset, (long)run * g.ClusterSize, uses.All);
                    Allocated += uses.Active * (ulong)run;
                    Fragmented += nextContiguous != 0 && entry.HostOffset.Value != nextContiguous ? uses.Active : 0;
                    nextContiguous = entry.HostOffset.Value + (long)run * g.ClusterSize;
                    i += run - 1;
                    continue;
                }

                // Entry by entry up to its end, or a damaged run would be measured once for each of its entries.
                looksForRunsAt = i + run;
            }

            HostOffset entryAt = at.Plus(i * g.L2EntrySize);
            if (entry.HasReservedBits && tally.Corruption(uses.All))
            {
                Describe(entry, entryAt, EntryFault.ReservedBits.Describe());
            }

            // QEMU's check passes over it, and its reads fail as ours do.
            if (header.Version < 3 && entry.IsZero && tally.Corruption(uses.All))
            {
                Describe(entry, entryAt, EntryFault.ZeroInVersion2.Describe());
            }

            switch (KindOf(entry))
            {
                case ClusterKind.Compressed:
                    CheckCompressed(entry, subclusters, entryAt, uses);
                    break;
                case ClusterKind.Data or ClusterKind.ZeroAllocated:
                    CheckAllocated(entry, new ExtendedL2Entry(entry, subclusters), entryAt, uses.All);
                    CheckCopied(entry, entryAt, writable);
                    Allocated += uses.Active;
                    Fragmented += nextContiguous != 0 && entry.HostOffset.Value != nextContiguous ? uses.Active : 0;
                    nextContiguous = entry.HostOffset.Value + g.ClusterSize;
                    break;
                case ClusterKind.Unallocated when new ExtendedL2Entry(entry, subclusters).Allocated != 0:
                    if (tally.Corruption(uses.All))
                    {
                        Describe(entry, entryAt, EntryFault.SubclusterWithoutCluster.Describe());
                    }

                    break;
            }
        }
    }

    /// <summary>
    /// How many entries from here on map contiguous clusters of the file and have nothing in themselves to find; most tables are made of few such runs.
    /// </summary>
    private int RunLength(ReadOnlySpan<byte> table, int first, L2Entry entry)
    {
        if (_extended || _hasDataFile || entry != L2Entry.ForData(entry.HostOffset) || !entry.HostOffset.IsAligned(g))
        {
            return 0;
        }

        int run = 1;
        ulong next = entry.Raw + (ulong)g.ClusterSize;
        while (first + run < g.L2Entries && BinaryPrimitives.ReadUInt64BigEndian(table[((first + run) * L2Entry.Size)..]) == next)
        {
            next += (ulong)g.ClusterSize;
            run++;
        }

        return run;
    }

    /// <summary>True when there is nothing to find in how a run agrees with file and refcounts either, so that it can be counted at once.</summary>
    private bool IsSound(HostOffset first, int run, bool compareCopied)
        => references.IsInFile(first, (long)run * g.ClusterSize)
            && (!compareCopied || (stored.IsComplete && stored.Counts.AreAllOne(first.Cluster(g).Index, run)));

    private ClusterKind KindOf(L2Entry entry)
    {
        ClusterKind kind = L2Entry.FromDisk(entry.Raw, g).Kind;
        if (_extended)
        {
            // Bit 0 is no zero flag here.
            return kind switch
            {
                ClusterKind.ZeroPlain => _hasDataFile && entry.IsCopied ? ClusterKind.Data : ClusterKind.Unallocated,
                ClusterKind.ZeroAllocated => ClusterKind.Data,
                _ => kind,
            };
        }

        return kind;
    }

    private void CheckCompressed(L2Entry entry, ulong subclusters, HostOffset at, L2TableSet.Uses uses)
    {
        if (entry.IsCopied && tally.Corruption(uses.All))
        {
            Describe(entry, at, "is compressed and has the copied flag set");
        }

        if (_hasDataFile || subclusters != 0)
        {
            if (tally.Corruption(uses.All))
            {
                Describe(entry, at, _hasDataFile ? EntryFault.CompressedWithDataFile.Describe() : "is compressed and has subclusters");
            }

            return;
        }

        CompressedDescriptor stream = entry.Compressed(g);
        if (counted == CountedReferences.All || !stream.Validate(g, references.FileLength).IsFatal())
        {
            references.Add(stream.Offset, stream.Length, uses.All);
        }

        Allocated += uses.Active;
        Compressed += uses.Active;

        // A neighbour's sectors are read again for each compressed cluster, wherever it lies.
        Fragmented += uses.Active;
    }

    private void CheckAllocated(L2Entry entry, ExtendedL2Entry extended, HostOffset at, ulong weight)
    {
        if ((extended.Allocated & extended.Zero) != 0 && tally.Corruption(weight))
        {
            Describe(entry, at, EntryFault.SubclusterConflict.Describe());
        }

        if (!entry.HostOffset.IsAligned(g) && tally.Corruption(weight))
        {
            Describe(entry, at, EntryFault.Unaligned.Describe());
        }

        if (!_hasDataFile && (counted == CountedReferences.All || entry.HostOffset.IsAligned(g)))
        {
            references.Add(entry.HostOffset, g.ClusterSize, weight);
        }
    }

    private void CheckCopied(L2Entry entry, HostOffset at, ulong weight)
    {
        HostCluster cluster = entry.HostOffset.Cluster(g);
        if (weight == 0 || (!_hasDataFile && !stored.IsKnown(cluster)))
        {
            return;
        }

        ulong refcount = _hasDataFile ? 1 : stored.Counts[cluster.Index];
        if (refcount == 1 == entry.IsCopied)
        {
            return;
        }

        tally.CopiedFlags += weight;
        if (tally.Corruption(weight))
        {
            Describe(entry, at, $"has the copied flag {(entry.IsCopied ? "set" : "clear")}, and its cluster's refcount is {refcount}");
        }
    }

    private void Describe(L2Entry entry, HostOffset at, string fault)
        => tally.Describe(ImageFaultKind.Corruption, $"L2 table entry 0x{entry.Raw:x16} at byte {at.Value} {fault}.");
}
