namespace BlockLayer.Storage;

/// <summary>
/// Bytes at 63-bit positions of which only the pages ever written exist; all others are zero. A page table with 512 entries a level, as high as the
/// highest position so far asks for, so that a hole of any size is stepped over entry by entry, not page by page. Not thread-safe.
/// </summary>
internal sealed class SparsePages
{
    /// <summary>The unit in which room is taken and given back, in bytes.</summary>
    internal const int PageSize = 4096;

    private const int PageBits = 12;
    private const int NodeBits = 9;
    private const int NodeSize = 1 << NodeBits;

    private object?[] _root = new object?[NodeSize];
    private int _height = 1; // levels; the entries of the last are pages (byte[]), of the others nodes (object?[])

    /// <summary>Pages that exist.</summary>
    internal long Count { get; private set; }

    /// <summary>Copies bytes out; holes are zeroes.</summary>
    internal void Read(long offset, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            int inPage = (int)(offset & (PageSize - 1));
            Span<byte> part = target[..Math.Min(target.Length, PageSize - inPage)];
            if (Find(offset >> PageBits) is { } page)
            {
                page.AsSpan(inPage, part.Length).CopyTo(part);
            }
            else
            {
                part.Clear();
            }

            target = target[part.Length..];
            offset += part.Length;
        }
    }

    /// <summary>Copies bytes in; pages that do not exist are added.</summary>
    internal void Write(long offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int inPage = (int)(offset & (PageSize - 1));
            ReadOnlySpan<byte> part = source[..Math.Min(source.Length, PageSize - inPage)];
            part.CopyTo(Ensure(offset >> PageBits).AsSpan(inPage, part.Length));
            source = source[part.Length..];
            offset += part.Length;
        }
    }

    /// <summary>Makes a range zero: pages inside it go away, or are cleared and added if they are to be kept; pages it cuts are cleared in part.</summary>
    internal void Zero(long offset, long length, ZeroMode mode)
    {
        long end = offset + length;
        while (offset < end)
        {
            int inPage = (int)(offset & (PageSize - 1));
            long part = Math.Min(end - offset, PageSize - inPage);
            if (mode == ZeroMode.KeepAllocated)
            {
                Ensure(offset >> PageBits).AsSpan(inPage, (int)part).Clear();
            }
            else if (Find(offset >> PageBits) is not { } page)
            {
                part = HoleLength(offset, end - offset);
            }
            else if (part == PageSize)
            {
                Remove(offset >> PageBits);
            }
            else
            {
                page.AsSpan(inPage, (int)part).Clear();
            }

            offset += part;
        }
    }

    /// <summary>How many pages a write of this range would add.</summary>
    internal long CountMissing(long offset, long length)
    {
        long end = offset + length;
        long missing = 0;
        while (offset < end)
        {
            long run = HoleLength(offset, end - offset);
            if (run > 0)
            {
                missing += ((offset + run - 1) >> PageBits) - (offset >> PageBits) + 1;
                offset += run;
            }
            else
            {
                offset = (offset | (PageSize - 1)) + 1;
            }
        }

        return missing;
    }

    /// <summary>How far the hole at <paramref name="offset"/> reaches, at most <paramref name="limit"/>; 0 where there is a page.</summary>
    internal long HoleLength(long offset, long limit)
    {
        long at = offset;
        while (at - offset < limit)
        {
            long skip = SkipHole(at);
            if (skip == 0)
            {
                break;
            }

            at = skip > long.MaxValue - at ? long.MaxValue : at + skip;
        }

        return Math.Min(limit, at - offset);
    }

    /// <summary>How far the pages at <paramref name="offset"/> reach without a hole, at most <paramref name="limit"/>.</summary>
    internal long DataLength(long offset, long limit)
    {
        long at = offset;
        while (at - offset < limit && Find(at >> PageBits) is not null)
        {
            at = (at | (PageSize - 1)) + 1;
        }

        return Math.Min(limit, at - offset);
    }

    private static int IndexAt(long page, int level) => (int)(page >> (level * NodeBits)) & (NodeSize - 1);

    private bool IsCovered(long page) => page >> (_height * NodeBits) == 0;

    private byte[]? Find(long page)
    {
        if (!IsCovered(page))
        {
            return null;
        }

        object? node = _root;
        for (int level = _height - 1; level >= 0 && node is not null; level--)
        {
            node = ((object?[])node)[IndexAt(page, level)];
        }

        return (byte[]?)node;
    }

    /// <summary>Bytes from <paramref name="offset"/> to the end of the highest empty entry that covers it; 0 if there is a page.</summary>
    private long SkipHole(long offset)
    {
        long page = offset >> PageBits;
        if (!IsCovered(page))
        {
            return long.MaxValue;
        }

        object?[] node = _root;
        for (int level = _height - 1; ; level--)
        {
            object? entry = node[IndexAt(page, level)];
            if (entry is null)
            {
                long span = (long)PageSize << (level * NodeBits);
                return span - (offset & (span - 1));
            }

            if (level == 0)
            {
                return 0;
            }

            node = (object?[])entry;
        }
    }

    private byte[] Ensure(long page)
    {
        while (!IsCovered(page))
        {
            object?[] root = new object?[NodeSize];
            root[0] = _root;
            _root = root;
            _height++;
        }

        object?[] node = _root;
        for (int level = _height - 1; level > 0; level--)
        {
            node = (object?[])(node[IndexAt(page, level)] ??= new object?[NodeSize]);
        }

        ref object? entry = ref node[IndexAt(page, 0)];
        if (entry is null)
        {
            entry = new byte[PageSize];
            Count++;
        }

        return (byte[])entry;
    }

    private void Remove(long page)
    {
        object?[] node = _root;
        for (int level = _height - 1; level > 0; level--)
        {
            node = (object?[])node[IndexAt(page, level)]!;
        }

        node[IndexAt(page, 0)] = null;
        Count--;
    }
}
