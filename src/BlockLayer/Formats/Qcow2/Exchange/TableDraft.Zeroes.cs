using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Tables without entries that say zero, which version 2 does not have.
internal sealed partial class TableDraft
{
    /// <summary>
    /// Replaces entries that say zero: by none where nothing below would show through, else by clusters of zeroes. The tables concerned are replaced by copies.
    /// </summary>
    /// <param name="l1Tables">The words of every L1 table of the image; those that lead to a copy are changed, and lose their copied flag.</param>
    /// <param name="hasBacking">Where nothing is allocated, a backing file shows through.</param>
    /// <param name="cancellationToken">Honoured between tables.</param>
    /// <exception cref="BlockLayerException">Unsupported: clusters are compressed with something else than zlib; Corrupt, NoSpace, Io.</exception>
    internal async ValueTask ReplaceZeroEntriesAsync(IReadOnlyList<ulong[]> l1Tables, bool hasBacking, CancellationToken cancellationToken)
    {
        var places = new Dictionary<HostOffset, HostOffset>();
        foreach ((HostOffset table, int uses) in TablesOf([.. l1Tables.SelectMany(static words => words)]))
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] l2 = await ReadL2Async(table).ConfigureAwait(false);
            if (await ReplaceZeroEntriesAsync(l2, table, uses, hasBacking).ConfigureAwait(false))
            {
                Change(table.Cluster(_geometry), -uses);
                places[table] = await WriteTableAsync(l2, (ulong)uses).ConfigureAwait(false);
            }
        }

        foreach (ulong[] words in l1Tables)
        {
            for (int i = 0; i < words.Length; i++)
            {
                if (new L1Entry(words[i]) is { IsAllocated: true } entry && places.TryGetValue(entry.L2Table, out HostOffset place))
                {
                    words[i] = L1Entry.ForTable(place).WithCopied(false).Raw;
                }
            }
        }
    }

    private async ValueTask<bool> ReplaceZeroEntriesAsync(byte[] l2, HostOffset table, int uses, bool hasBacking)
    {
        bool changed = false;
        for (int at = 0; at < l2.Length; at += L2Entry.Size)
        {
            L2Entry entry = EntryAt(l2, at);
            (HostCluster host, int count) = HostClustersOf(entry, table.Plus(at));
            if (entry.IsCompressed && _compression != CompressionType.Zlib)
            {
                throw new BlockLayerException(BlockErrorKind.Unsupported, $"Clusters are compressed with {_compression}, which version 2 (compat=0.10) does not have; convert the image instead.");
            }

            if (!entry.IsZero)
            {
                continue;
            }

            if (count > 0)
            {
                Change(host, -uses); // somebody else may still have data there, so it is not written over
            }

            L2Entry replacement = hasBacking ? L2Entry.ForData(await WriteZeroClusterAsync(uses).ConfigureAwait(false)).WithCopied(false) : L2Entry.Unallocated;
            BinaryPrimitives.WriteUInt64BigEndian(l2.AsSpan(at), replacement.Raw);
            changed = true;
        }

        return changed;
    }

    private async ValueTask<HostOffset> WriteZeroClusterAsync(int uses)
    {
        HostOffset place = Take(1, (ulong)uses).Offset(_geometry);
        await _file.WriteZeroesAsync(place.Value, _geometry.ClusterSize, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
        return place;
    }
}
