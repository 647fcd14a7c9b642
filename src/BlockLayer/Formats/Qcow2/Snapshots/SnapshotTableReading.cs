using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>A snapshot table as far as it can be read, whatever is wrong with it.</summary>
internal sealed record SnapshotTableReading
{
    /// <summary>The table of an image without snapshots.</summary>
    public static readonly SnapshotTableReading Empty = new() { Entries = [], Length = 0 };

    /// <summary>The entries that start in the file, in file order; where the extra data was too long, without the rest of it.</summary>
    public required IReadOnlyList<SnapshotTableRow> Entries { get; init; }

    /// <summary>Bytes of the table as its entries say, those that are missing included.</summary>
    public required long Length { get; init; }

    /// <summary>Entries that start behind the end of the file. A reader who takes zeroes for what is not there, as QEMU does, finds as many empty ones.</summary>
    public long Missing { get; init; }

    /// <summary>The first thing because of which readers give up on the table: a limit, or a place where no table is.</summary>
    public ImageFormatException? Limit { get; init; }

    /// <summary>Why the table cannot be believed although a reader that asks for nothing comes to its end: it leaves the file, or lies on something else.</summary>
    public ImageFormatException? Contradiction { get; init; }

    /// <summary>Why nobody may rely on the table; null for a sound one.</summary>
    public ImageFormatException? Fault => Limit ?? Contradiction;
}

/// <summary>An entry of a snapshot table in a file.</summary>
/// <param name="Range">Its bytes in the file, with its padding.</param>
/// <param name="Entry">What it says.</param>
/// <param name="IsIntact">False where extra data was cut, or the entry goes on behind the end of the file.</param>
internal sealed record SnapshotTableRow(ByteRange Range, SnapshotEntry Entry, bool IsIntact);
