using System.Globalization;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// Which of the 512-byte sectors that a write touches reached the disk. Disks write a sector whole or not at all; between the sectors of one write no
/// order is promised. Sectors are those of the file: a write that starts inside one shares it with what was there.
/// </summary>
public readonly record struct SectorPattern
{
    /// <summary>Bytes of a sector.</summary>
    public const int SectorSize = 512;

    private readonly Shape _shape;
    private readonly long _value;

    private SectorPattern(Shape shape, long value)
    {
        _shape = shape;
        _value = value;
    }

    private enum Shape
    {
        All,
        First,
        Last,
        Mask,
        Seeded,
        LengthOnly,
    }

    /// <summary>All sectors.</summary>
    public static SectorPattern All => default;

    /// <summary>No sector, but the file grew as if all had been written: its new part reads as zeroes.</summary>
    public static SectorPattern LengthOnly => new(Shape.LengthOnly, 0);

    /// <summary>True for <see cref="All"/>.</summary>
    public bool IsAll => _shape == Shape.All;

    /// <summary>True for <see cref="LengthOnly"/>.</summary>
    public bool IsLengthOnly => _shape == Shape.LengthOnly;

    /// <summary>The first <paramref name="count"/> sectors.</summary>
    public static SectorPattern First(long count) => new(Shape.First, count);

    /// <summary>The last <paramref name="count"/> sectors.</summary>
    public static SectorPattern Last(long count) => new(Shape.Last, count);

    /// <summary>Sector i where bit i is set; for writes of at most 64 sectors.</summary>
    public static SectorPattern Mask(ulong bits) => new(Shape.Mask, (long)bits);

    /// <summary>About half of the sectors, decided by a seed.</summary>
    public static SectorPattern Seeded(uint seed) => new(Shape.Seeded, seed);

    /// <summary>How many sectors a range touches.</summary>
    public static long CountSectors(ByteRange range)
        => range.IsEmpty ? 0 : ((range.End - 1) / SectorSize) - (range.Offset / SectorSize) + 1;

    /// <summary>The pattern as <see cref="ToString"/> wrote it; false if the text is none.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out SectorPattern pattern)
    {
        pattern = default;
        int digits = text.IndexOfAnyInRange('0', '9');
        ReadOnlySpan<char> name = digits < 0 ? text : text[..digits];
        long value = 0;
        if (digits >= 0 && !long.TryParse(text[digits..], NumberStyles.None, CultureInfo.InvariantCulture, out value)
            && !TryParseMask(text[digits..], out value))
        {
            return false;
        }

        Shape? shape = name switch
        {
            "all" => Shape.All,
            "first" => Shape.First,
            "last" => Shape.Last,
            "mask" => Shape.Mask,
            "seed" => Shape.Seeded,
            "length" => Shape.LengthOnly,
            _ => null,
        };
        pattern = shape is { } known ? new SectorPattern(known, value) : default;
        return shape is not null;
    }

    /// <summary>The bytes of <paramref name="range"/> in sectors of the pattern, as ascending runs.</summary>
    public IEnumerable<ByteRange> Runs(ByteRange range)
    {
        long count = CountSectors(range);
        long first = 0;
        while (first < count)
        {
            if (!Includes(first, count))
            {
                first = NextCandidate(first, count);
                continue;
            }

            long end = _shape is Shape.All or Shape.Last ? count : _shape == Shape.First ? Math.Min(_value, count) : first + 1;
            yield return Bytes(range, first, end);
            first = end;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => _shape switch
    {
        Shape.All => "all",
        Shape.First => string.Create(CultureInfo.InvariantCulture, $"first{_value}"),
        Shape.Last => string.Create(CultureInfo.InvariantCulture, $"last{_value}"),
        Shape.Mask => string.Create(CultureInfo.InvariantCulture, $"mask0x{_value:x}"),
        Shape.Seeded => string.Create(CultureInfo.InvariantCulture, $"seed{_value}"),
        _ => "length",
    };

    private static bool TryParseMask(ReadOnlySpan<char> text, out long value)
    {
        value = 0;
        return text.StartsWith("0x", StringComparison.Ordinal)
            && long.TryParse(text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private static ByteRange Bytes(ByteRange range, long first, long end)
    {
        long firstSector = range.Offset / SectorSize;
        long from = Math.Max(range.Offset, (firstSector + first) * SectorSize);
        long to = Math.Min(range.End, (firstSector + end) * SectorSize);
        return new ByteRange(from, to - from);
    }

    private bool Includes(long sector, long count) => _shape switch
    {
        Shape.All => true,
        Shape.First => sector < _value,
        Shape.Last => sector >= count - _value,
        Shape.Mask => sector < 64 && (((ulong)_value >> (int)sector) & 1) != 0,
        Shape.Seeded => (Scatter((ulong)_value, (ulong)sector) & 1) != 0,
        _ => false,
    };

    /// <summary>A later sector that may be included when <paramref name="sector"/> is not, so that large ranges are not walked one by one.</summary>
    private long NextCandidate(long sector, long count) => _shape switch
    {
        Shape.First or Shape.LengthOnly => count,
        Shape.Last => Math.Max(sector + 1, count - _value),
        _ => sector + 1,
    };

    private static ulong Scatter(ulong seed, ulong index)
    {
        ulong z = (seed + 1) * 0x9E3779B97F4A7C15 + (index * 0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 30)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
