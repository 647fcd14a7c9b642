using System.Buffers.Binary;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The entries of an L2 table as they are on disk, of either width.</summary>
internal readonly ref struct L2EntryBytes(Span<byte> bytes, ClusterGeometry g)
{
    private readonly Span<byte> _bytes = bytes;

    /// <summary>Number of entries.</summary>
    public int Count => _bytes.Length / g.L2EntrySize;

    /// <summary>One entry; the second word of a standard one is 0.</summary>
    public ExtendedL2Entry this[int index]
    {
        get
        {
            ReadOnlySpan<byte> entry = _bytes.Slice(index * g.L2EntrySize, g.L2EntrySize);
            return new ExtendedL2Entry(
                new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(entry)),
                entry.Length == ExtendedL2Entry.Size ? BinaryPrimitives.ReadUInt64BigEndian(entry[L2Entry.Size..]) : 0);
        }
        set
        {
            Span<byte> entry = _bytes.Slice(index * g.L2EntrySize, g.L2EntrySize);
            BinaryPrimitives.WriteUInt64BigEndian(entry, value.Cluster.Raw);
            if (entry.Length == ExtendedL2Entry.Size)
            {
                BinaryPrimitives.WriteUInt64BigEndian(entry[L2Entry.Size..], value.Subclusters);
            }
        }
    }

    /// <summary>Index of the first entry at or behind <paramref name="first"/> that is not all zero, or <see cref="Count"/>.</summary>
    public int NextInUse(int first)
    {
        int skipped = _bytes[(first * g.L2EntrySize)..].IndexOfAnyExcept((byte)0);
        return skipped < 0 ? Count : first + (skipped / g.L2EntrySize);
    }
}
