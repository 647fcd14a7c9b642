using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// The bytes of one simulated file: any length, holes cost nothing, and <see cref="Fork"/> makes an independent copy in constant time, which is what makes
/// thousands of post-crash states affordable.
/// </summary>
/// <remarks>
/// A tree of 64-way nodes over 4 KiB pages; a missing subtree reads as zeroes. Invariant: a node may be changed only by the content whose
/// <c>_owner</c> token it carries; any other content copies it first. A fork gives both sides new tokens, so everything they share is frozen.
/// </remarks>
internal sealed class SparseContent
{
    internal const int PageSize = 1 << PageBits;

    private const int PageBits = 12;
    private const int FanBits = 6;
    private const int Fan = 1 << FanBits;

    private object _owner = new();
    private Node? _root;
    private int _height; // levels of nodes above the pages; the tree covers 64^_height pages

    /// <summary>Length in bytes.</summary>
    internal long Length { get; private set; }

    /// <summary>Bytes of the pages that exist.</summary>
    internal long AllocatedBytes { get; private set; }

    /// <summary>An independent copy.</summary>
    internal SparseContent Fork()
    {
        _owner = new object();
        return new SparseContent { _root = _root, _height = _height, Length = Length, AllocatedBytes = AllocatedBytes };
    }

    /// <summary>Reads; what lies past the end reads as zeroes.</summary>
    internal void Read(long offset, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int inPage = (int)(offset & (PageSize - 1));
            int count = Math.Min(buffer.Length, PageSize - inPage);
            if (FindPage(offset >> PageBits) is { } page)
            {
                page.Bytes.Span.Slice(inPage, count).CopyTo(buffer);
            }
            else
            {
                buffer[..count].Clear();
            }

            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <summary>Writes, growing to the end of what is written.</summary>
    internal void Write(long offset, ReadOnlySpan<byte> data)
    {
        Length = Math.Max(Length, offset + data.Length);
        while (!data.IsEmpty)
        {
            int inPage = (int)(offset & (PageSize - 1));
            int count = Math.Min(data.Length, PageSize - inPage);
            data[..count].CopyTo(EnsurePage(offset >> PageBits).Slice(inPage, count));
            offset += count;
            data = data[count..];
        }
    }

    /// <summary>Writes data that many contents have in common; its whole pages are shared by all of them until one changes.</summary>
    internal void Write(SharedData data)
    {
        ReadOnlySpan<byte> bytes = data.Bytes.Span;
        long firstWhole = Alignment.RoundUp(data.Offset, PageSize);
        long endWhole = Alignment.RoundDown(data.Offset + bytes.Length, PageSize);
        if (firstWhole >= endWhole)
        {
            Write(data.Offset, bytes);
            return;
        }

        Write(data.Offset, bytes[..(int)(firstWhole - data.Offset)]);
        for (long at = firstWhole; at < endWhole; at += PageSize)
        {
            ref Node? slot = ref FindSlot(at >> PageBits);
            AllocatedBytes += slot is null ? PageSize : 0;
            slot = data.GetPage((int)((at - firstWhole) >> PageBits), (int)(at - data.Offset));
        }

        Length = Math.Max(Length, endWhole);
        Write(endWhole, bytes[(int)(endWhole - data.Offset)..]);
    }

    /// <summary>Makes a range read as zeroes without changing the length; whole pages become holes.</summary>
    internal void Clear(long offset, long length)
    {
        long end = offset + length;
        long firstWhole = Alignment.RoundUp(offset, PageSize);
        long endWhole = Alignment.RoundDown(end, PageSize);
        if (firstWhole > endWhole)
        {
            ClearInPage(offset, end);
            return;
        }

        ClearInPage(offset, firstWhole);
        ClearInPage(endWhole, end);
        if (firstWhole < endWhole && _root is not null)
        {
            _root = DropPages(_root, _height, firstPage: 0, firstWhole >> PageBits, endWhole >> PageBits);
        }
    }

    /// <summary>Sets the length; what is cut off reads as zeroes if the content grows again.</summary>
    internal void SetLength(long length)
    {
        if (length < Length)
        {
            // To the end of the last page, so that a page of which nothing is left goes too.
            Clear(length, Alignment.RoundUp(Length, PageSize) - length);
        }

        Length = length;
    }

    /// <summary>The first byte at or after <paramref name="offset"/> that lies in an existing page, or <see cref="long.MaxValue"/>.</summary>
    internal long FindData(long offset)
    {
        long first = offset >> PageBits;
        long page = _root is null ? long.MaxValue : FindExisting(_root, _height, firstPage: 0, first);
        return page == long.MaxValue ? page : Math.Max(offset, page << PageBits);
    }

    /// <summary>The first byte at or after <paramref name="offset"/> that lies in a hole or past the end; at most <paramref name="limit"/>.</summary>
    internal long FindHole(long offset, long limit)
    {
        while (offset < limit && FindPage(offset >> PageBits) is not null)
        {
            offset = ((offset >> PageBits) + 1) << PageBits;
        }

        return Math.Min(offset, limit);
    }

    private static long Coverage(int height) => height * FanBits >= 63 ? long.MaxValue : 1L << (height * FanBits);

    private Node? FindPage(long page)
    {
        if (page >= Coverage(_height))
        {
            return null;
        }

        Node? node = _root;
        for (int level = _height - 1; node is not null && level >= 0; level--)
        {
            node = node.Children![(int)(page >> (level * FanBits)) & (Fan - 1)];
        }

        return node;
    }

    /// <summary>A page to write into: this content's own.</summary>
    private Span<byte> EnsurePage(long page)
    {
        ref Node? slot = ref FindSlot(page);
        AllocatedBytes += slot is null ? PageSize : 0;
        return OwnedOrNew(ref slot, isPage: true).Owned;
    }

    /// <summary>Where the tree holds a page; all nodes on the way exist and are this content's own.</summary>
    private ref Node? FindSlot(long page)
    {
        while (page >= Coverage(_height))
        {
            if (_root is not null)
            {
                var above = new Node(_owner, isPage: false);
                above.Children![0] = _root;
                _root = above;
            }

            _height++;
        }

        ref Node? slot = ref _root;
        for (int level = _height - 1; level >= 0; level--)
        {
            Node inner = OwnedOrNew(ref slot, isPage: false);
            slot = ref inner.Children![(int)(page >> (level * FanBits)) & (Fan - 1)];
        }

        return ref slot;
    }

    private Node OwnedOrNew(ref Node? slot, bool isPage)
    {
        if (slot is null)
        {
            slot = new Node(_owner, isPage);
        }
        else if (slot.Owner != _owner)
        {
            slot = new Node(_owner, slot);
        }

        return slot;
    }

    private void ClearInPage(long offset, long end)
    {
        if (offset < end && FindPage(offset >> PageBits) is not null)
        {
            EnsurePage(offset >> PageBits).Slice((int)(offset & (PageSize - 1)), (int)(end - offset)).Clear();
        }
    }

    /// <summary>The tree without the pages in [first, end), or null if nothing is left; it covers the pages from <paramref name="firstPage"/> on.</summary>
    private Node? DropPages(Node node, int height, long firstPage, long first, long end)
    {
        long covered = Coverage(height);
        if (first >= firstPage + covered || end <= firstPage)
        {
            return node;
        }

        if (first <= firstPage && end - firstPage >= covered)
        {
            AllocatedBytes -= node.CountPages() * PageSize;
            return null;
        }

        Node? owned = node;
        Node mine = OwnedOrNew(ref owned, isPage: false);
        long childCovers = Coverage(height - 1);
        bool any = false;
        for (int i = 0; i < Fan; i++)
        {
            if (mine.Children![i] is { } child)
            {
                mine.Children[i] = DropPages(child, height - 1, firstPage + (i * childCovers), first, end);
                any |= mine.Children[i] is not null;
            }
        }

        return any ? mine : null;
    }

    private static long FindExisting(Node node, int height, long firstPage, long from)
    {
        if (height == 0)
        {
            return firstPage >= from ? firstPage : long.MaxValue;
        }

        long childCovers = Coverage(height - 1);
        int start = from <= firstPage ? 0 : (int)Math.Min(Fan, (from - firstPage) / childCovers);
        for (int i = start; i < Fan; i++)
        {
            if (node.Children![i] is { } child)
            {
                long found = FindExisting(child, height - 1, firstPage + (i * childCovers), from);
                if (found != long.MaxValue)
                {
                    return found;
                }
            }
        }

        return long.MaxValue;
    }

    /// <summary>Bytes at an offset, whose whole pages any number of contents can hold without a copy.</summary>
    internal sealed class SharedData(long offset, ReadOnlyMemory<byte> bytes)
    {
        private readonly object _owner = new(); // nobody's token: whoever changes a page copies it
        private Node?[]? _pages;

        internal long Offset => offset;

        internal ReadOnlyMemory<byte> Bytes => bytes;

        internal Node GetPage(int index, int position)
        {
            _pages ??= new Node?[bytes.Length / PageSize];
            return _pages[index] ??= new Node(_owner, bytes.Slice(position, PageSize));
        }
    }

    /// <summary>A page, or 64 children. A page's bytes are its own array, or a part of what was written, which nobody changes.</summary>
    internal sealed class Node
    {
        internal readonly object Owner;
        internal readonly Node?[]? Children;
        internal readonly ReadOnlyMemory<byte> Bytes;
        private readonly byte[]? _own;

        internal Node(object owner, bool isPage)
        {
            Owner = owner;
            Children = isPage ? null : new Node?[Fan];
            Bytes = _own = isPage ? new byte[PageSize] : null;
        }

        internal Node(object owner, ReadOnlyMemory<byte> bytes)
        {
            Owner = owner;
            Bytes = bytes;
        }

        internal Node(object owner, Node copied)
        {
            Owner = owner;
            Children = (Node?[]?)copied.Children?.Clone();
            Bytes = _own = copied.Children is null ? copied.Bytes.ToArray() : null;
        }

        /// <summary>The bytes of a page that one content has for itself.</summary>
        internal Span<byte> Owned => _own!;

        internal long CountPages()
        {
            if (Children is null)
            {
                return 1;
            }

            long count = 0;
            foreach (Node? child in Children)
            {
                count += child?.CountPages() ?? 0;
            }

            return count;
        }
    }
}
