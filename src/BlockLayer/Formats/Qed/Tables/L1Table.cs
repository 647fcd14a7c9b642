using System.Collections;
using System.Diagnostics;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The part of the L1 table that the disk uses, at most 16 MiB whatever the geometry. Entries are read freely, written under the mapping lock. An entry goes
/// to disk only after the table it leads to is durable.
/// </summary>
internal sealed class L1Table
{
    private readonly QedGeometry _geometry;
    private readonly HostOffset _location;
    private readonly SortedSet<int> _dirtySectors = []; // guarded by the mapping lock
    private ulong[] _entries;                           // written under the mapping lock, read freely; replaced only under drain
    private BitArray _bad;                              // constant; entries that cannot be followed

    private L1Table(QedGeometry geometry, HostOffset location, ulong[] entries, BitArray bad)
    {
        _geometry = geometry;
        _location = location;
        _entries = entries;
        _bad = bad;
    }

    /// <summary>Where the L2 table lies; 0 while there is none.</summary>
    internal HostOffset this[int index] => new((long)Volatile.Read(ref _entries[index]));

    /// <summary>True when the entry holds an offset that cannot be followed.</summary>
    internal bool IsBad(int index) => _bad[index];

    /// <summary>Where an entry lies in the image file, in bytes.</summary>
    internal long EntryOffset(int index) => _location.Value + ((long)index * L2Entry.Size);

    /// <summary>Reads the entries that a disk of <paramref name="imageSize"/> bytes uses and tells <paramref name="extent"/> where the tables are.</summary>
    internal static async ValueTask<L1Table> LoadAsync(
        BlockEdge file,
        QedHeader header,
        long imageSize,
        ImageExtent extent,
        CancellationToken cancellationToken)
    {
        QedGeometry geometry = header.Geometry;
        var location = new HostOffset((long)header.L1TableOffset);
        ulong[] entries = await ReadAsync(file, geometry, location, imageSize, cancellationToken).ConfigureAwait(false);
        return new L1Table(geometry, location, entries, Judge(entries, geometry, extent));
    }

    /// <summary>Reads the entries that a longer disk uses as well. The caller has drained the image.</summary>
    internal async ValueTask ExtendAsync(BlockEdge file, long imageSize, ImageExtent extent, CancellationToken cancellationToken)
    {
        ulong[] entries = await ReadAsync(file, _geometry, _location, imageSize, cancellationToken).ConfigureAwait(false);
        _entries.CopyTo(entries, 0); // those may be newer than the disk
        if (entries.Length > _entries.Length)
        {
            // Entries published since the open lie outside the extent but are ours, so only what was read now is judged.
            var added = new BitArray(Judge(entries, _geometry, extent));
            for (int i = 0; i < _entries.Length; i++)
            {
                added[i] = _bad[i];
            }

            _bad = added;
            Volatile.Write(ref _entries, entries);
        }
    }

    /// <summary>Makes a table reachable; the caller holds the mapping lock and has zeroed the table.</summary>
    internal void PublishLocked(int index, HostOffset table)
    {
        Debug.Assert(_entries[index] == 0, "an L2 table stays where it is");
        Volatile.Write(ref _entries[index], (ulong)table.Value);
        _dirtySectors.Add(index / TableSector.Entries);
    }

    /// <summary>Copies the dirty sectors for writing and counts the table clean; the caller holds the mapping lock.</summary>
    internal int[] TakeDirtyLocked(List<TableWrite> writes)
    {
        int[] taken = [.. _dirtySectors];
        foreach (int sector in taken)
        {
            byte[] bytes = new byte[QedLimits.SectorSize];
            TableSector.Encode(_entries.AsSpan(sector * TableSector.Entries, TableSector.Entries), bytes);
            writes.Add(new TableWrite(_location.Plus((long)sector * QedLimits.SectorSize), bytes));
        }

        _dirtySectors.Clear();
        return taken;
    }

    /// <summary>Counts sectors dirty again that could not be written; the caller holds the mapping lock.</summary>
    internal void MarkDirtyLocked(int[] sectors) => _dirtySectors.UnionWith(sectors);

    // Whole sectors, because that is what is written back.
    private static async ValueTask<ulong[]> ReadAsync(
        BlockEdge file,
        QedGeometry geometry,
        HostOffset location,
        long imageSize,
        CancellationToken cancellationToken)
    {
        int count = (int)Alignment.RoundUp(geometry.L1EntriesFor(imageSize), TableSector.Entries);
        byte[] bytes = new byte[count * L2Entry.Size];
        await file.ReadAsync(location.Value, bytes, cancellationToken).ConfigureAwait(false);
        ulong[] entries = new ulong[count];
        TableSector.Decode(bytes, entries);
        return entries;
    }

    private static BitArray Judge(ulong[] entries, QedGeometry geometry, ImageExtent extent)
    {
        var bad = new BitArray(entries.Length);
        var tables = new List<(long Offset, int Index)>();
        for (int i = 0; i < entries.Length; i++)
        {
            if (entries[i] == 0)
            {
                continue;
            }

            if (extent.JudgeTable(entries[i]) == OffsetFault.None)
            {
                tables.Add(((long)entries[i], i));
            }
            else
            {
                bad[i] = true;
            }
        }

        // Two entries that lead to one place would give it two owners in memory.
        tables.Sort();
        for (int i = 1; i < tables.Count; i++)
        {
            if (tables[i].Offset - tables[i - 1].Offset < geometry.TableLength)
            {
                bad[tables[i].Index] = true;
                bad[tables[i - 1].Index] = true;
            }
        }

        extent.SetTables([.. tables.Select(table => table.Offset)]);
        return bad;
    }
}
