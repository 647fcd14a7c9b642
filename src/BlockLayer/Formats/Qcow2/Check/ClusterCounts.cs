namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// A number for each host cluster, one byte each where it is small, in pages that exist only where a number is not 0: 16 MiB for each TiB of 64 KiB
/// clusters in use. Pages are small because a hostile image may touch few clusters everywhere.
/// </summary>
internal sealed class ClusterCounts
{
    /// <summary>Clusters in a page.</summary>
    public const int PageLength = 1 << PageBits;

    /// <summary>The byte that says that the number is in the dictionary.</summary>
    public const byte Large = byte.MaxValue;

    private const int PageBits = 8;
    private const int ChunkBits = 12;

    private readonly List<byte[]?[]?> _chunks = [];
    private readonly Dictionary<long, ulong> _large = [];

    /// <summary>One past the last cluster whose number was ever set.</summary>
    public long End { get; private set; }

    /// <summary>The number of one cluster.</summary>
    public ulong this[long cluster]
    {
        get
        {
            byte[]? page = Page(cluster >> PageBits);
            byte small = page is null ? (byte)0 : page[cluster & (PageLength - 1)];
            return small != Large ? small : _large[cluster];
        }
        set
        {
            if (value == 0 && Page(cluster >> PageBits) is null)
            {
                return;
            }

            byte[] page = EnsurePage(cluster >> PageBits);
            if (page[cluster & (PageLength - 1)] == Large)
            {
                _large.Remove(cluster);
            }

            if (value >= Large)
            {
                _large.Add(cluster, value);
            }

            page[cluster & (PageLength - 1)] = (byte)Math.Min(value, Large);
            End = Math.Max(End, cluster + 1);
        }
    }

    /// <summary>The small numbers of a page; null where all are 0.</summary>
    public byte[]? Page(long page)
    {
        int chunk = (int)(page >> ChunkBits);
        return chunk < _chunks.Count && _chunks[chunk] is { } pages ? pages[page & ((1 << ChunkBits) - 1)] : null;
    }

    private byte[] EnsurePage(long page)
    {
        int chunk = checked((int)(page >> ChunkBits));
        while (_chunks.Count <= chunk)
        {
            _chunks.Add(null);
        }

        byte[]?[] pages = _chunks[chunk] ??= new byte[]?[1 << ChunkBits];
        return pages[page & ((1 << ChunkBits) - 1)] ??= new byte[PageLength];
    }
}
