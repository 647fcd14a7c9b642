namespace BlockLayer.Primitives;

/// <summary>A run of bytes: <see cref="Offset"/> inclusive, <see cref="End"/> exclusive. Both are in the address space of whoever hands it out.</summary>
public readonly record struct ByteRange(long Offset, long Length)
{
    /// <summary>First byte after the range.</summary>
    public long End => Offset + Length;

    /// <summary>True when there is nothing in it.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>True when the two share at least one byte; an empty range shares none.</summary>
    public bool Overlaps(ByteRange other) => Offset < other.End && other.Offset < End && !IsEmpty && !other.IsEmpty;

    /// <summary>True when all of <paramref name="other"/> lies inside.</summary>
    public bool Contains(ByteRange other) => other.Offset >= Offset && other.End <= End;

    /// <summary>The smallest range around this one whose ends are multiples of <paramref name="unit"/>, a power of two in bytes.</summary>
    /// <exception cref="OverflowException">Its end exceeds 2^63-1.</exception>
    public ByteRange RoundOut(long unit)
    {
        long first = Offset & -unit;
        long end = checked(End + (unit - 1)) & -unit;
        return new ByteRange(first, end - first);
    }

    /// <summary>
    /// The largest range inside this one whose ends are multiples of <paramref name="unit"/>, a power of two in bytes; an empty range at
    /// <see cref="Offset"/> if there is none.
    /// </summary>
    public ByteRange RoundIn(long unit)
    {
        long skip = -Offset & (unit - 1); // not Offset + unit - 1, which overflows for a range at the end of the address space
        long length = (End & -unit) - Offset - skip;
        return length > 0 ? new ByteRange(Offset + skip, length) : new ByteRange(Offset, 0);
    }

    /// <summary>The part of this range below <paramref name="end"/>.</summary>
    public ByteRange ClampTo(long end) => new(Offset, Math.Max(0, Math.Min(Length, end - Offset)));

    /// <inheritdoc/>
    public override string ToString() => $"[0x{Offset:x}, 0x{End:x})";
}
