using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>How a disk is divided into regions of equal size, the last one perhaps shorter.</summary>
/// <param name="Length">Length of the disk in bytes.</param>
/// <param name="RegionBits">log2 of a region's bytes.</param>
internal readonly record struct RegionGeometry(long Length, int RegionBits)
{
    /// <summary>How many regions there are.</summary>
    internal int Count => (int)Alignment.DivideRoundUp(Length, 1L << RegionBits);

    /// <summary>A division into at most <see cref="MirrorLimits.MaxRegions"/>.</summary>
    /// <param name="length">Length of the disk in bytes.</param>
    /// <param name="regionSize">Bytes of a region; null: the default.</param>
    /// <exception cref="ArgumentException">The size is no power of two, below 4 KiB, or makes too many regions.</exception>
    internal static RegionGeometry Choose(long length, long? regionSize)
    {
        if (regionSize is not { } size)
        {
            return new RegionGeometry(length, MirrorLimits.DefaultRegionBits).Fit();
        }

        var chosen = new RegionGeometry(length, Alignment.Log2(size));
        if (size <= 0 || 1L << chosen.RegionBits != size || chosen.RegionBits is < MirrorLimits.MinRegionBits or > MirrorLimits.MaxRegionBits || chosen != chosen.Fit())
        {
            throw new ArgumentException(
                $"A region of {size} bytes does not do for {length} bytes: it is a power of two from 4096 on, and there are at most {MirrorLimits.MaxRegions}.",
                nameof(regionSize));
        }

        return chosen;
    }

    /// <summary>The same or, if there would be too many regions, larger ones.</summary>
    internal RegionGeometry Fit()
    {
        int bits = RegionBits;
        while (Alignment.DivideRoundUp(Length, 1L << bits) > MirrorLimits.MaxRegions)
        {
            bits++;
        }

        return this with { RegionBits = bits };
    }

    /// <summary>First and last region that a range touches; the range is not empty.</summary>
    internal (int First, int Last) Touched(ByteRange range) => ((int)(range.Offset >> RegionBits), (int)((range.End - 1) >> RegionBits));

    /// <summary>The bytes of a region.</summary>
    internal ByteRange RangeOf(int region) => new ByteRange((long)region << RegionBits, 1L << RegionBits).ClampTo(Length);
}
