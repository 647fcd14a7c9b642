namespace BlockLayer.Formats.Qed;

/// <summary>
/// What of the image file an offset may point to: whole clusters between the header and the end of the file, as the file was when it was opened. Offsets read
/// from disk are judged against that, not against the present length, because clusters that were added since belong to somebody we know.
/// </summary>
internal sealed class ImageExtent
{
    private readonly QedGeometry _geometry;
    private readonly HostOffset _l1Table;
    private readonly long _start;
    private readonly long _end;
    private long[] _tables = []; // sorted; offsets of the valid L2 tables

    internal ImageExtent(QedHeader header, long fileLength)
    {
        _geometry = header.Geometry;
        _l1Table = new HostOffset((long)header.L1TableOffset);
        _start = header.FirstClusterOffset;
        _end = fileLength;
    }

    /// <summary>Judges the place of a data cluster; whether it hits a table is judged only after <see cref="SetTables"/>.</summary>
    internal OffsetFault JudgeCluster(ulong offset)
    {
        OffsetFault fault = JudgePlace(offset, _geometry.ClusterSize);
        return fault == OffsetFault.None && OverlapsTable((long)offset, _geometry.ClusterSize) ? OffsetFault.InTable : fault;
    }

    /// <summary>
    /// True when <paramref name="count"/> data clusters from <paramref name="offset"/> on are all sound; asked for runs, because one answer costs a search.
    /// </summary>
    internal bool AreClustersSound(ulong offset, int count)
    {
        long length = (long)count << _geometry.ClusterBits;
        return JudgePlace(offset, length) == OffsetFault.None && !OverlapsTable((long)offset, length);
    }

    /// <summary>Judges the place of an L2 table, apart from its overlapping other tables.</summary>
    internal OffsetFault JudgeTable(ulong offset)
    {
        OffsetFault fault = JudgePlace(offset, _geometry.TableLength);
        bool hitsL1 = fault == OffsetFault.None && Math.Abs((long)offset - _l1Table.Value) < _geometry.TableLength;
        return hitsL1 ? OffsetFault.InTable : fault;
    }

    /// <summary>Announces the L2 tables that the L1 table leads to.</summary>
    /// <param name="sorted">Ascending offsets of tables that do not overlap.</param>
    internal void SetTables(long[] sorted) => _tables = sorted;

    /// <summary>A fault in words, for the end of a sentence.</summary>
    internal string Describe(OffsetFault fault) => fault switch
    {
        OffsetFault.Misaligned => $"is not a multiple of the cluster size, {_geometry.ClusterSize}",
        OffsetFault.InHeader => $"lies inside the header, which ends at {_start}",
        OffsetFault.PastEnd => $"does not lie wholly inside the file, which ended at {_end}",
        OffsetFault.InTable => "belongs to a table",
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "no fault"),
    };

    /// <summary>Judges whether something of <paramref name="length"/> bytes can lie at <paramref name="offset"/>, whatever else lies there.</summary>
    internal OffsetFault JudgePlace(ulong offset, long length)
    {
        if ((offset & (ulong)(_geometry.ClusterSize - 1)) != 0)
        {
            return OffsetFault.Misaligned;
        }

        if (offset < (ulong)_start)
        {
            return OffsetFault.InHeader;
        }

        return _end < length || offset > (ulong)(_end - length) ? OffsetFault.PastEnd : OffsetFault.None;
    }

    private bool OverlapsTable(long offset, long length)
    {
        if (offset < _l1Table.Value + _geometry.TableLength && offset + length > _l1Table.Value)
        {
            return true;
        }

        // The last table that starts before the end of the range is the only one that can reach into it.
        int found = Array.BinarySearch(_tables, offset + length);
        int before = (found >= 0 ? found : ~found) - 1;
        return before >= 0 && _tables[before] + _geometry.TableLength > offset;
    }
}
