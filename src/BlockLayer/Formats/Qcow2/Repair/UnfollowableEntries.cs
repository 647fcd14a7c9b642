using System.Buffers.Binary;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Replaces entries of L1 and L2 tables that lead nowhere, where they are. That removes references and adds none, so a crash in between leaves fewer of them. It comes
/// before the file grows: an entry that leads past the end must not find something there one day.
/// </summary>
internal sealed class UnfollowableEntries(BlockEdge file, ClusterGeometry g, Qcow2Header header, RepairLog log)
{
    private readonly EntryRepair _repair = new(g, header, file.Child.Length);
    private readonly TableRewriter _rewriter = new(file);

    /// <summary>Goes through the L1 tables but those where something else lies too: they are not changed before the others have copies.</summary>
    public async ValueTask RepairL1Async(MappedTables tables, CountedImage image)
    {
        foreach ((ByteRange table, _) in tables.L1Tables)
        {
            HostCluster first = new HostOffset(table.Offset).Cluster(g);
            if (Enumerable.Range(0, (int)g.ClustersFor(table.Length)).Any(i => image.IsContested(first.Plus(i))))
            {
                continue;
            }

            await _rewriter.RewriteAsync(new HostOffset(table.Offset), table.Length, RepairL1, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Goes through the L2 tables, with the same exception.</summary>
    public async ValueTask RepairL2Async(MappedTables tables, CountedImage image)
    {
        foreach (HostOffset table in await tables.L2TablesAsync(activeOnly: false).ConfigureAwait(false))
        {
            if (!image.IsContested(table.Cluster(g)))
            {
                await _rewriter.RewriteAsync(table, g.ClusterSize, RepairL2, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private bool RepairL1(Span<byte> bytes, HostOffset at)
    {
        long before = log.Count;
        for (int i = 0; i < bytes.Length; i += L1Entry.Size)
        {
            L1Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(bytes[i..]));
            if (entry.Raw == 0 || _repair.Decide(entry) is var decided && decided == entry)
            {
                continue;
            }

            BinaryPrimitives.WriteUInt64BigEndian(bytes[i..], decided.Raw);
            if (log.Note())
            {
                log.Say($"L1 table entry 0x{entry.Raw:x16} at byte {at.Value + i} was replaced by 0x{decided.Raw:x16}.");
            }
        }

        return log.Count > before;
    }

    private bool RepairL2(Span<byte> bytes, HostOffset at)
    {
        long before = log.Count;
        L2EntryBytes entries = new(bytes, g);
        for (int i = entries.NextInUse(0); i < entries.Count; i = entries.NextInUse(i + 1))
        {
            ExtendedL2Entry entry = entries[i];
            ExtendedL2Entry decided = _repair.Decide(entry);
            if (decided == entry)
            {
                continue;
            }

            entries[i] = decided;
            if (log.Note())
            {
                log.Say($"L2 table entry 0x{entry.Cluster.Raw:x16} at byte {at.Value + (i * g.L2EntrySize)} was replaced by 0x{decided.Cluster.Raw:x16}.");
            }
        }

        return log.Count > before;
    }
}
