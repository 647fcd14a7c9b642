using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// A number for each host cluster, one byte each where it is small, in pages that exist only where a number is not 0: 16 MiB for each TiB of 64 KiB
/// clusters in use. Pages and chunks are small because a hostile image may touch few clusters everywhere in a file with holes: one that lies alone takes less than
/// a kilobyte, wherever it is.
/// </summary>
internal sealed class ClusterCounts
{
    /// <summary>Clusters in a page.</summary>
    public const int PageLength = 1 << PageBits;

    /// <summary>The byte that says that the number is in the dictionary.</summary>
    public const byte Large = byte.MaxValue;

    private const int PageBits = 8;
    private const int ChunkBits = 6;

    private readonly Dictionary<long, byte[]?[]> _chunks = [];
    private readonly Dictionary<long, ulong> _large = [];

    // The page used last: tables mostly name neighbours.
    private long _nearIndex = -1;
    private byte[]? _nearPage;

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

    /// <summary>The same numbers, to be changed by themselves.</summary>
    public ClusterCounts Clone()
    {
        var clone = new ClusterCounts { End = End };
        foreach ((long chunk, byte[]?[] pages) in _chunks)
        {
            clone._chunks.Add(chunk, Array.ConvertAll(pages, static page => page is null ? null : (byte[])page.Clone()));
        }

        foreach ((long cluster, ulong value) in _large)
        {
            clone._large.Add(cluster, value);
        }

        return clone;
    }

    /// <summary>Counts one more if the number stays small; false, and nothing done, if it would not.</summary>
    public bool TryIncrement(long cluster)
    {
        byte[] page = EnsurePage(cluster >> PageBits);
        ref byte small = ref page[cluster & (PageLength - 1)];
        if (small >= Large - 1)
        {
            return false;
        }

        small++;
        End = Math.Max(End, cluster + 1);
        return true;
    }

    /// <summary>True when each of the clusters has the number 1.</summary>
    public bool AreAllOne(long firstCluster, int count)
    {
        while (count > 0)
        {
            int inPage = (int)(firstCluster & (PageLength - 1));
            int length = Math.Min(count, PageLength - inPage);
            if (Page(firstCluster >> PageBits) is not { } page || page.AsSpan(inPage, length).ContainsAnyExcept((byte)1))
            {
                return false;
            }

            firstCluster += length;
            count -= length;
        }

        return true;
    }

    /// <summary>Sets the numbers of the first <paramref name="count"/> clusters that a refcount block counts, of which none was set before.</summary>
    public void SetAll(long firstCluster, RefcountBlock block, int count)
    {
        byte[] page = [];
        for (int i = 0; i < count; i++)
        {
            int inPage = (int)((firstCluster + i) & (PageLength - 1));
            if (inPage == 0 || i == 0)
            {
                page = EnsurePage((firstCluster + i) >> PageBits);
            }

            ulong value = block[i];
            if (value < Large)
            {
                page[inPage] = (byte)value;
            }
            else
            {
                this[firstCluster + i] = value;
            }
        }

        End = Math.Max(End, firstCluster + count);
    }

    /// <summary>The small numbers of a page; null where all are 0.</summary>
    public byte[]? Page(long page)
    {
        if (page == _nearIndex)
        {
            return _nearPage;
        }

        byte[]? found = _chunks.TryGetValue(page >> ChunkBits, out byte[]?[]? pages) ? pages[page & ((1 << ChunkBits) - 1)] : null;
        if (found is not null)
        {
            (_nearIndex, _nearPage) = (page, found);
        }

        return found;
    }

    /// <summary>The pages that exist, in ascending order: looking through all numbers costs what there are of them, however far apart they lie.</summary>
    public IEnumerable<long> Pages()
    {
        foreach (long chunk in _chunks.Keys.Order())
        {
            byte[]?[] pages = _chunks[chunk];
            for (int i = 0; i < pages.Length; i++)
            {
                if (pages[i] is not null)
                {
                    yield return (chunk << ChunkBits) + i;
                }
            }
        }
    }

    /// <summary>The pages that exist in either, in ascending order.</summary>
    public static IEnumerable<long> PagesOf(ClusterCounts one, ClusterCounts other)
    {
        using IEnumerator<long> ones = one.Pages().GetEnumerator();
        using IEnumerator<long> others = other.Pages().GetEnumerator();
        long a = Next(ones);
        long b = Next(others);
        while (Math.Min(a, b) is var page && page != long.MaxValue)
        {
            yield return page;
            (a, b) = (a == page ? Next(ones) : a, b == page ? Next(others) : b);
        }

        static long Next(IEnumerator<long> pages) => pages.MoveNext() ? pages.Current : long.MaxValue;
    }

    private byte[] EnsurePage(long page)
    {
        if (Page(page) is { } found)
        {
            return found;
        }

        ref byte[]?[]? pages = ref CollectionsMarshal.GetValueRefOrAddDefault(_chunks, page >> ChunkBits, out _);
        pages ??= new byte[]?[1 << ChunkBits];
        return pages[page & ((1 << ChunkBits) - 1)] ??= new byte[PageLength];
    }
}
