using System.Globalization;
using BlockLayer.Errors;

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

    /// <summary>A table of these snapshots.</summary>
    /// <exception cref="BlockLayerException">Unsupported: more snapshots, or a longer table, than readers accept.</exception>
    public static SnapshotTable Create(IEnumerable<SnapshotEntry> entries)
    {
        SnapshotEntry[] padded = [.. entries.Select(static entry => entry.Padded())];
        long length = padded.Sum(static entry => (long)entry.Raw.Length);
        return padded.Length <= Qcow2Limits.MaxSnapshots && length <= Qcow2Limits.MaxSnapshotTableLength
            ? new SnapshotTable(padded, (int)length)
            : throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"{padded.Length} snapshots would make a table of {length} bytes; an image has at most {Qcow2Limits.MaxSnapshots} in {Qcow2Limits.MaxSnapshotTableLength} bytes. Delete some first.");
    }

    /// <summary>A sound table as it was read.</summary>
    public static SnapshotTable Of(SnapshotTableReading found) => new([.. found.Entries.Select(static row => row.Entry)], (int)found.Length);

    /// <summary>
    /// The snapshot with this id; where there is none, the first one with this name. Names need not be unique, and one may be another's id.
    /// </summary>
    /// <exception cref="BlockLayerException">NotFound: there is none, or the text is the id of one and the name of another.</exception>
    public SnapshotEntry Find(string idOrName)
    {
        SnapshotEntry? byId = Entries.FirstOrDefault(entry => entry.Id == idOrName);
        SnapshotEntry? byName = Entries.FirstOrDefault(entry => entry.Name == idOrName);
        if (byId is not null && byName is not null && byId != byName)
        {
            throw new BlockLayerException(
                BlockErrorKind.NotFound,
                $"'{idOrName}' is the id of snapshot '{byId.Name}' and the name of the one with id {byName.Id}; say which by {(byId.Name == idOrName ? "" : $"'{byId.Name}' or ")}'{byName.Id}'.");
        }

        return byId ?? byName ?? throw new BlockLayerException(BlockErrorKind.NotFound, $"There is no snapshot with id or name '{idOrName}'{Listing()}.");
    }

    /// <summary>An id that no snapshot has: one more than the largest number among them, as QEMU counts.</summary>
    public string NextId()
    {
        ulong largest = 0;
        foreach (SnapshotEntry entry in Entries)
        {
            largest = ulong.TryParse(entry.Id, NumberStyles.None, CultureInfo.InvariantCulture, out ulong id) && id < ulong.MaxValue ? Math.Max(id, largest) : largest;
        }

        return (largest + 1).ToString(CultureInfo.InvariantCulture);
    }

    private string Listing()
    {
        const int MaxListed = 10;
        string names = string.Join(", ", Entries.Take(MaxListed).Select(static entry => $"{entry.Id} '{entry.Name}'"));
        return names.Length == 0 ? "; the image has none" : $"; it has {names}{(Entries.Count > MaxListed ? ", ..." : "")}";
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
