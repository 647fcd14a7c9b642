using System.Buffers.Binary;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Sets and clears the copied flags of the active disk by refcounts that are right: "copied" means that the refcount is exactly one, so that the cluster may be
/// written where it is. The flags of snapshots are nobody's.
/// </summary>
internal sealed class CopiedFlagRepair(BlockEdge file, ClusterGeometry g, Qcow2Header header, StoredRefcounts stored, RepairLog log)
{
    private readonly TableRewriter _rewriter = new(file);
    private readonly bool _hasDataFile = header.HasFeature(IncompatibleFeatures.ExternalDataFile);

    /// <summary>Goes through the active tables. Durable on return.</summary>
    public async ValueTask RepairAsync(MappedTables tables)
    {
        ByteRange active = tables.L1Tables.First().Table;
        await _rewriter.RewriteAsync(new HostOffset(active.Offset), active.Length, RepairL1, CancellationToken.None).ConfigureAwait(false);
        foreach (HostOffset table in await tables.L2TablesAsync(activeOnly: true).ConfigureAwait(false))
        {
            await _rewriter.RewriteAsync(table, g.ClusterSize, RepairL2, CancellationToken.None).ConfigureAwait(false);
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private bool RepairL1(Span<byte> bytes, HostOffset at)
    {
        long before = log.Count;
        for (int i = 0; i < bytes.Length; i += L1Entry.Size)
        {
            L1Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(bytes[i..]));
            if (entry.IsAllocated && stored.IsKnown(entry.L2Table.Cluster(g)) && IsAlone(entry.L2Table) is var copied && copied != entry.IsCopied)
            {
                BinaryPrimitives.WriteUInt64BigEndian(bytes[i..], entry.WithCopied(copied).Raw);
                Note("L1", at.Value + i, copied);
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
            if (ShouldBeCopied(entry.Cluster) is { } copied && copied != entry.Cluster.IsCopied)
            {
                entries[i] = entry with { Cluster = entry.Cluster.WithCopied(copied) };
                Note("L2", at.Value + (i * g.L2EntrySize), copied);
            }
        }

        return log.Count > before;
    }

    /// <summary>What the flag is to be; null where nobody can say or asks.</summary>
    private bool? ShouldBeCopied(L2Entry entry)
    {
        if (entry.IsCompressed)
        {
            return false;
        }

        if (_hasDataFile)
        {
            return entry.HostOffset.Value != 0 ? true : null;
        }

        return entry.HostOffset.Value != 0 && stored.IsKnown(entry.HostOffset.Cluster(g)) ? IsAlone(entry.HostOffset) : null;
    }

    private bool IsAlone(HostOffset cluster) => stored.Counts[cluster.Cluster(g).Index] == 1;

    private void Note(string table, long at, bool copied)
    {
        if (log.Note())
        {
            log.Say($"The copied flag of the {table} table entry at byte {at} was {(copied ? "set" : "cleared")}.");
        }
    }
}
