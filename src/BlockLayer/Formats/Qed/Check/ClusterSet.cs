namespace BlockLayer.Formats.Qed;

/// <summary>
/// A set of cluster numbers that takes room by what is in it, not by how large the file claims to be: a sparse file can be eight exbibytes long.
/// </summary>
internal sealed class ClusterSet
{
    private const int PageBits = 9; // 512 clusters, 64 bytes
    private const int PageMask = (1 << PageBits) - 1;

    private readonly Dictionary<long, ulong[]> _pages = [];
    private ulong[] _page = []; // the one used last
    private long _pageIndex = -1;

    /// <summary>How many are in it.</summary>
    internal long Count { get; private set; }

    /// <summary>Adds a cluster; false if it was in already.</summary>
    internal bool Add(long cluster) => TryAddRange(cluster, 1);

    /// <summary>Whether a cluster is in it.</summary>
    internal bool Contains(long cluster)
        => _pages.TryGetValue(cluster >> PageBits, out ulong[]? page) && (page[(int)(cluster & PageMask) >> 6] >> (int)(cluster & 63) & 1) != 0;

    /// <summary>Adds clusters that follow each other, or none of them if any was in already.</summary>
    internal bool TryAddRange(long first, int count)
    {
        long end = first + count;
        for (long at = first; at < end; at += LengthInWord(at, end))
        {
            if ((Word(at) & Mask(at, end)) != 0)
            {
                return false;
            }
        }

        for (long at = first; at < end; at += LengthInWord(at, end))
        {
            Word(at) |= Mask(at, end);
        }

        Count += count;
        return true;
    }

    private static int LengthInWord(long at, long end) => (int)Math.Min(64 - (at & 63), end - at);

    private static ulong Mask(long at, long end) => (ulong.MaxValue >> (64 - LengthInWord(at, end))) << (int)(at & 63);

    private ref ulong Word(long cluster)
    {
        long index = cluster >> PageBits;
        if (index != _pageIndex)
        {
            if (!_pages.TryGetValue(index, out ulong[]? page))
            {
                page = new ulong[(1 << PageBits) / 64];
                _pages.Add(index, page);
            }

            (_page, _pageIndex) = (page, index);
        }

        return ref _page[(int)(cluster & PageMask) >> 6];
    }
}
