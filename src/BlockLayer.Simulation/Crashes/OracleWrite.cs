using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>One write of a guest, as a <see cref="SectorOracle"/> remembers it.</summary>
public sealed class OracleWrite
{
    internal OracleWrite(long number, ByteRange range, ReadOnlyMemory<byte> data, long issuedAt, bool isCertain)
    {
        Number = number;
        Range = range;
        Data = data;
        IssuedAt = issuedAt;
        IsCertain = isCertain;
        Alone = [this];
    }

    /// <summary>Position among the writes of the oracle, from 1; 0 is the initial content.</summary>
    public long Number { get; }

    /// <summary>The bytes written.</summary>
    public ByteRange Range { get; }

    /// <summary>This write as all that a sector may hold: one array for all its sectors.</summary>
    internal OracleWrite[] Alone { get; }

    /// <summary>Empty for zeroes.</summary>
    internal ReadOnlyMemory<byte> Data { get; }

    internal long IssuedAt { get; }

    /// <summary>When it completed or failed; <see cref="long.MaxValue"/> while it is in flight.</summary>
    internal long SettledAt { get; set; } = long.MaxValue;

    /// <summary>False when even its completion does not promise that it took place: discards, and writes that failed.</summary>
    internal bool IsCertain { get; set; }

    internal bool HasValue(long offset, ReadOnlySpan<byte> sector)
        => Data.IsEmpty ? sector.IndexOfAnyExcept((byte)0) < 0 : sector.SequenceEqual(Data.Span.Slice((int)(offset - Range.Offset), sector.Length));

    /// <inheritdoc/>
    public override string ToString()
        => Number == 0 ? "the initial content"
            : $"write {Number} of {(Data.IsEmpty ? "zeroes to " : "")}{Range}{(SettledAt == long.MaxValue ? " (in flight)" : IsCertain ? "" : " (may not have taken place)")}";
}
