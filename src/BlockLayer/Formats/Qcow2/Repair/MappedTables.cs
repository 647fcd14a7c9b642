using System.Buffers.Binary;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The L1 tables of an image, the active one first, and what a walk through them finds.</summary>
internal sealed class MappedTables(BlockEdge file, ClusterGeometry g, Qcow2Header header, SnapshotTable snapshots)
{
    private const int ReadLength = 64 << 10;

    /// <summary>Where the L1 tables lie that can be located; those of snapshots are not longer than the file together.</summary>
    public IEnumerable<(ByteRange Table, bool IsActive)> L1Tables
    {
        get
        {
            yield return (new ByteRange(header.L1TableOffset.Value, (long)header.L1Size * L1Entry.Size), true);
            HashSet<ByteRange> seen = [];
            long length = 0;
            foreach (SnapshotEntry snapshot in snapshots.Entries.Where(snapshot => snapshot.IsL1Locatable(g)))
            {
                length += snapshot.L1TableRange.Length;
                if (length <= file.Child.Length && seen.Add(snapshot.L1TableRange))
                {
                    yield return (snapshot.L1TableRange, false);
                }
            }
        }
    }

    /// <summary>The entries of one L1 table that lead to an L2 table in the file.</summary>
    public async IAsyncEnumerable<L1Use> EntriesAsync(ByteRange table, bool isActive)
    {
        byte[] buffer = new byte[Math.Min(ReadLength, table.Length)];
        for (long done = 0; done < table.Length; done += buffer.Length)
        {
            int count = (int)Math.Min(buffer.Length, table.Length - done);
            await file.ReadPaddedAsync(table.Offset + done, buffer.AsMemory(0, count), CancellationToken.None).ConfigureAwait(false);
            for (int i = 0; i < count; i += L1Entry.Size)
            {
                L1Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(buffer.AsSpan(i)));
                if (entry.IsAllocated && !entry.Validate(g, file.Child.Length).IsFatal())
                {
                    yield return new L1Use(new HostOffset(table.Offset + done + i), (done + i) / L1Entry.Size, entry, isActive);
                }
            }
        }
    }

    /// <summary>Every entry of every L1 table that leads to an L2 table in the file.</summary>
    public async IAsyncEnumerable<L1Use> AllEntriesAsync()
    {
        foreach ((ByteRange table, bool isActive) in L1Tables)
        {
            await foreach (L1Use use in EntriesAsync(table, isActive).ConfigureAwait(false))
            {
                yield return use;
            }
        }
    }

    /// <summary>The L2 tables in file order, each once.</summary>
    /// <param name="activeOnly">Leaves out those that only snapshots lead to.</param>
    public async ValueTask<IReadOnlyList<HostOffset>> L2TablesAsync(bool activeOnly)
    {
        SortedSet<long> tables = [];
        await foreach (L1Use use in AllEntriesAsync().ConfigureAwait(false))
        {
            if (use.IsActive || !activeOnly)
            {
                tables.Add(use.Entry.L2Table.Value);
            }
        }

        return [.. tables.Select(static table => new HostOffset(table))];
    }

    /// <summary>An L1 entry.</summary>
    /// <param name="At">Where it is.</param>
    /// <param name="Index">Which of its table: what part of the disk it maps.</param>
    /// <param name="Entry">What it says.</param>
    /// <param name="IsActive">Whether its table is the active one.</param>
    internal readonly record struct L1Use(HostOffset At, long Index, L1Entry Entry, bool IsActive);
}
