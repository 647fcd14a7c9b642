using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The snapshot table: entries of varying length, one behind the other. Immutable.</summary>
internal sealed class SnapshotTable
{
    /// <summary>The table of an image without snapshots.</summary>
    public static readonly SnapshotTable Empty = new([], 0);

    private SnapshotTable(IReadOnlyList<SnapshotEntry> entries, int length)
    {
        Entries = entries;
        Length = length;
    }

    /// <summary>The snapshots in file order.</summary>
    public IReadOnlyList<SnapshotEntry> Entries { get; }

    /// <summary>Bytes of the table.</summary>
    public int Length { get; }

    /// <summary>Reads a table whose length is not known before it has been read.</summary>
    /// <param name="bytes">The file from the start of the table, as far as the caller has read.</param>
    /// <param name="count">nb_snapshots.</param>
    /// <param name="start">Where the table starts in the file, for messages.</param>
    /// <param name="table">The table, if all of it was there.</param>
    /// <param name="needed">If not: how many bytes at least are needed to come further.</param>
    /// <exception cref="ImageFormatException">InvalidFormat: an entry no reader accepts, or a table larger than allowed.</exception>
    public static bool TryParse(ReadOnlySpan<byte> bytes, uint count, HostOffset start, out SnapshotTable table, out long needed)
    {
        table = Empty;
        List<SnapshotEntry> entries = [];
        int at = 0;
        for (uint i = 0; i < count; i++)
        {
            needed = at + SnapshotEntry.FixedLength;
            if (needed > bytes.Length)
            {
                return false;
            }

            int length = SnapshotEntry.ReadLength(bytes[at..], start.Plus(at));
            needed = at + length;
            if (needed > Qcow2Limits.MaxSnapshotTableLength)
            {
                throw ImageFormatException.OutOfRange("length of the snapshot table", start.Value, needed, 0, Qcow2Limits.MaxSnapshotTableLength);
            }

            if (needed > bytes.Length)
            {
                return false;
            }

            // The file may end behind the last entry's name: its padding is nobody's.
            int end = (int)Math.Min(Alignment.RoundUp(needed, 8), bytes.Length);
            entries.Add(new SnapshotEntry(bytes[at..end].ToArray()));
            at = end;
        }

        table = new SnapshotTable(entries, at);
        needed = at;
        return true;
    }

    /// <summary>Writes the table as it was read; returns its <see cref="Length"/>.</summary>
    public int WriteTo(Span<byte> destination)
    {
        int at = 0;
        foreach (SnapshotEntry entry in Entries)
        {
            entry.Raw.Span.CopyTo(destination[at..]);
            at += entry.Raw.Length;
        }

        return at;
    }
}
