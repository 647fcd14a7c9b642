namespace BlockLayer.Formats.Qed;

/// <summary>A set of cluster numbers that takes room by what is in it, not by how large the file claims to be: a sparse file can be eight exbibytes long.</summary>
internal sealed class ClusterSet
{
    private const int PageBits = 9; // 512 clusters, 64 bytes

    private readonly Dictionary<long, ulong[]> _pages = [];
    private ulong[] _page = []; // the one used last
    private long _pageIndex = -1;

    /// <summary>How many are in it.</summary>
    internal long Count { get; private set; }

    /// <summary>Adds a cluster; false if it was in already.</summary>
    internal bool Add(long cluster)
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

        int at = (int)(cluster & ((1 << PageBits) - 1));
        ulong bit = 1UL << (at & 63);
        if ((_page[at >> 6] & bit) != 0)
        {
            return false;
        }

        _page[at >> 6] |= bit;
        Count++;
        return true;
    }
}
