using System.Buffers.Binary;
using System.Diagnostics;
using System.Numerics;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// One bit a cluster: clear, the backing file has it; set, the image file has it. All of it is in memory, in pages; a page that was never set is no page.
/// </summary>
/// <remarks>
/// Lookups take no lock: a word is read once, and while guests are inside bits only go from clear to set. Everything else is guarded by <see cref="Gate"/>, or
/// runs while the node is drained.
/// </remarks>
internal sealed class AllocationBitmap
{
    /// <summary>Bytes in a page, the unit that is written.</summary>
    internal const int PageLength = 4096;

    private const int WordsInPage = PageLength / sizeof(ulong);
    private const int PageBits = 15; // log2 of the clusters that a page stands for
    private const int PageMask = (1 << PageBits) - 1;

    private readonly SortedSet<int> _dirty = []; // guarded by Gate: pages that differ from those on disk
    private ulong[]?[] _pages;                   // replaced while drained; entries set under Gate, read freely
    private long _clusters;                      // changes while drained

    /// <param name="clusters">How many clusters the disk has.</param>
    internal AllocationBitmap(long clusters)
    {
        _clusters = clusters;
        _pages = new ulong[]?[PagesFor(clusters)];
    }

    /// <summary>Held while bits change.</summary>
    internal Lock Gate { get; } = new();

    /// <summary>Clusters of the disk.</summary>
    internal long Clusters => _clusters;

    /// <summary>How many of them are set.</summary>
    internal long CountSet() => _pages.Sum(static page => page is null ? 0 : page.Sum(static word => (long)BitOperations.PopCount(word)));

    /// <summary>True when all are set.</summary>
    internal bool IsFull => CountRun(0, _clusters, out bool isSet) == _clusters && (isSet || _clusters == 0);

    /// <summary>Bytes that hold the bits of so many clusters.</summary>
    internal static long BytesFor(long clusters) => Alignment.DivideRoundUp(clusters, 8);

    /// <summary>True when <paramref name="cluster"/> is in the image file.</summary>
    internal bool IsSet(long cluster) => (WordAt(cluster >> 6) >> (int)(cluster & 63) & 1) != 0;

    /// <summary>How many clusters from <paramref name="first"/> on, at most <paramref name="limit"/>, are what the first one is.</summary>
    internal long CountRun(long first, long limit, out bool isSet)
    {
        Debug.Assert(limit <= _clusters - first, "the run lies on the disk");
        isSet = limit > 0 && IsSet(first);
        ulong flip = isSet ? ulong.MaxValue : 0;
        long count = 0;
        while (count < limit)
        {
            long at = first + count;
            if (!isSet && (at & PageMask) == 0 && Volatile.Read(ref _pages[at >> PageBits]) is null)
            {
                count += 1L << PageBits;
                continue;
            }

            int bit = (int)(at & 63);
            int same = Math.Min(BitOperations.TrailingZeroCount((WordAt(at >> 6) ^ flip) >> bit), 64 - bit);
            count += same;
            if (bit + same < 64)
            {
                break;
            }
        }

        return Math.Min(count, limit);
    }

    /// <summary>Sets bits. The caller holds <see cref="Gate"/>.</summary>
    internal void SetLocked(long first, long count)
    {
        Debug.Assert(Gate.IsHeldByCurrentThread, "bits change under the gate");
        for (long end = first + count; first < end;)
        {
            int page = (int)(first >> PageBits);
            int from = (int)(first & PageMask);
            int to = (int)Math.Min(PageMask + 1, from + (end - first));
            if (_pages[page] is null)
            {
                Volatile.Write(ref _pages[page], new ulong[WordsInPage]);
            }

            SetInPage(_pages[page]!, from, to);
            _dirty.Add(page);
            first += to - from;
        }
    }

    /// <summary>
    /// Makes the bitmap stand for another number of clusters; what is added is clear. The page in which the shorter of the two ends is written anew, because the
    /// file may hold bits there that a reader was told to ignore. The node is drained.
    /// </summary>
    internal void Resize(long clusters)
    {
        lock (Gate)
        {
            long kept = Math.Min(clusters, _clusters);
            var pages = new ulong[]?[PagesFor(clusters)];
            _pages.AsSpan(0, Math.Min(pages.Length, _pages.Length)).CopyTo(pages);
            _clusters = clusters;
            _pages = pages;
            _dirty.RemoveWhere(page => page >= pages.Length);
            ClearFrom(kept);
            if (kept >> PageBits < pages.Length)
            {
                _dirty.Add((int)(kept >> PageBits));
            }
        }
    }

    /// <summary>Clears all bits. The node is drained.</summary>
    internal void Clear()
    {
        lock (Gate)
        {
            _dirty.UnionWith(Enumerable.Range(0, _pages.Length).Where(page => _pages[page] is not null));
            Array.Clear(_pages);
        }
    }

    /// <summary>Takes over a page as the file has it. Bits past the end of the disk are ignored, as the specification wants; tells how many were set.</summary>
    internal long Load(int page, ReadOnlySpan<byte> bytes)
    {
        var words = new ulong[WordsInPage];
        for (int i = 0; i < bytes.Length; i++)
        {
            words[i >> 3] |= (ulong)bytes[i] << (8 * (i & 7));
        }

        long past = 0;
        for (long bit = _clusters - ((long)page << PageBits); bit < 1 << PageBits; bit++)
        {
            past += (long)(words[bit >> 6] >> (int)(bit & 63) & 1);
            words[bit >> 6] &= ~(1ul << (int)(bit & 63));
        }

        _pages[page] = Array.TrueForAll(words, static word => word == 0) ? null : words;
        return past;
    }

    /// <summary>Copies the pages that changed and takes them for written.</summary>
    internal List<BitmapPage> TakeDirty()
    {
        lock (Gate)
        {
            List<BitmapPage> pages = [.. _dirty.Select(page => new BitmapPage(page, Bytes(page)))];
            _dirty.Clear();
            return pages;
        }
    }

    /// <summary>Takes pages back that could not be written.</summary>
    internal void MarkDirty(IEnumerable<BitmapPage> pages)
    {
        lock (Gate)
        {
            _dirty.UnionWith(pages.Select(static page => page.Index).Where(index => index < _pages.Length));
        }
    }

    /// <summary>One value for all the bits: hashes of the pages that have any, with their places. No bits at all are zero.</summary>
    internal Hash256 Checksum()
    {
        Hash256 sum = default;
        byte[] bytes = new byte[sizeof(int) + PageLength];
        for (int page = 0; page < _pages.Length; page++)
        {
            if (_pages[page] is { } words && Array.Exists(words, static word => word != 0))
            {
                BinaryPrimitives.WriteInt32LittleEndian(bytes, page);
                WriteWords(words, bytes.AsSpan(sizeof(int)));
                sum = sum.Combine(Hash256.Of(bytes));
            }
        }

        return sum;
    }

    private static int PagesFor(long clusters) => checked((int)Alignment.DivideRoundUp(clusters, 1 << PageBits));

    private static void SetInPage(ulong[] words, int from, int to)
    {
        while (from < to)
        {
            int bit = from & 63;
            int count = Math.Min(64 - bit, to - from);
            ulong mask = (count == 64 ? ulong.MaxValue : (1ul << count) - 1) << bit;
            Volatile.Write(ref words[from >> 6], words[from >> 6] | mask);
            from += count;
        }
    }

    private static void WriteWords(ulong[] words, Span<byte> target)
    {
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[(i * sizeof(ulong))..], words[i]);
        }
    }

    private ulong WordAt(long word)
        => Volatile.Read(ref _pages[word / WordsInPage]) is { } page ? Volatile.Read(ref page[word % WordsInPage]) : 0;

    private void ClearFrom(long cluster)
    {
        int page = (int)(cluster >> PageBits);
        if (page >= _pages.Length)
        {
            return;
        }

        for (int bit = (int)(cluster & PageMask); _pages[page] is { } words && bit <= PageMask; bit++)
        {
            words[bit >> 6] &= ~(1ul << (bit & 63));
        }

        _pages.AsSpan(page + 1).Clear();
    }

    private byte[] Bytes(int page)
    {
        byte[] bytes = new byte[PageLength];
        if (_pages[page] is { } words)
        {
            WriteWords(words, bytes);
        }

        return bytes;
    }
}
