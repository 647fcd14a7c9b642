using System.Buffers.Binary;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Looks through L1 tables: counts them and the L2 tables they lead to, and judges their entries.</summary>
internal sealed class L1TableCheck(IMetadataReader file, ClusterGeometry g, ReferenceCounter references, StoredRefcounts stored, CheckTally tally, CountedReferences counted)
{
    private const int ReadLength = 64 << 10;

    private long _lengthRead;

    /// <summary>The L2 tables found.</summary>
    public L2TableSet Tables { get; } = new();

    /// <summary>
    /// Looks through one L1 table that counts <paramref name="weight"/> times. False when the tables together are longer than the file, which they are only
    /// if they overlap: then the table is left out.
    /// </summary>
    public async ValueTask<bool> CheckAsync(ByteRange table, ulong weight, bool isActive, CancellationToken cancellationToken)
    {
        references.AddMetadata(new HostOffset(table.Offset), table.Length, references.Structures, weight);
        if (table.Offset < 0)
        {
            tally.IsIncomplete = true;
            return true;
        }

        _lengthRead += table.Length;
        if (_lengthRead > file.Length)
        {
            tally.IsIncomplete = true;
            return false;
        }

        byte[] buffer = new byte[Math.Min(ReadLength, table.Length)];
        for (long done = 0; done < table.Length; done += buffer.Length)
        {
            Memory<byte> part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, table.Length - done));
            await file.ReadPaddedAsync(table.Offset + done, part, cancellationToken).ConfigureAwait(false);
            CheckEntries(part.Span, new HostOffset(table.Offset + done), weight, isActive);
        }

        return true;
    }

    private void CheckEntries(ReadOnlySpan<byte> entries, HostOffset at, ulong weight, bool isActive)
    {
        for (int i = 0; i < entries.Length; i += L1Entry.Size)
        {
            L1Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(entries[i..]));
            if (entry.Raw == 0)
            {
                continue;
            }

            HostOffset entryAt = at.Plus(i);
            if (entry.HasReservedBits && tally.Corruption(weight))
            {
                Describe(entry, entryAt, EntryFault.ReservedBits.Describe());
            }

            if (counted == CountedReferences.Followable && (!entry.IsAllocated || entry.Validate(g, file.Length).IsFatal()))
            {
                tally.Corruption(weight);
                continue;
            }

            references.AddMetadata(entry.L2Table, g.ClusterSize, references.L2Tables, weight);
            if (!entry.L2Table.IsAligned(g) && tally.Corruption(weight))
            {
                Describe(entry, entryAt, EntryFault.Unaligned.Describe());
            }

            if (isActive && entry.IsAllocated)
            {
                CheckCopied(entry, entryAt, weight);
            }

            // An entry with flags and no offset leads to the header, whose bytes are then judged as entries.
            Tables.Add(entry.L2Table, new L2TableSet.Uses(weight, isActive ? weight : 0));
        }
    }

    private void CheckCopied(L1Entry entry, HostOffset at, ulong weight)
    {
        HostCluster cluster = entry.L2Table.Cluster(g);
        if (!stored.IsKnown(cluster))
        {
            return;
        }

        ulong refcount = stored.Counts[cluster.Index];
        if (refcount == 1 == entry.IsCopied)
        {
            return;
        }

        tally.CopiedFlags += weight;
        if (tally.Corruption(weight))
        {
            Describe(entry, at, $"has the copied flag {(entry.IsCopied ? "set" : "clear")}, and its table's refcount is {refcount}");
        }
    }

    private void Describe(L1Entry entry, HostOffset at, string fault)
        => tally.Describe(ImageFaultKind.Corruption, $"L1 table entry 0x{entry.Raw:x16} at byte {at.Value} {fault}.");
}
