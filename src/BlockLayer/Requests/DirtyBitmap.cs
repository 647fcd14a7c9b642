using System.Numerics;
using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// Which parts of a disk may have changed since some moment: one bit for every <see cref="Granularity"/> bytes. Rounding is always to the safe side: setting
/// a part of a unit sets its bit, clearing a part of a unit leaves it.
/// </summary>
/// <remarks>
/// <para>Bits are kept in chunks of 4 KiB. A chunk that was never touched does not exist, and one that is all ones is shared by everybody, so a bitmap costs what is
/// in it and not what its length claims.</para>
/// <para>Free-threaded. Bits of a chunk change by interlocked operations; which chunk is where changes under <c>_shape</c>. A chunk that exists stays in its
/// place when it is cleared, because somebody may be about to set a bit in it; only the shared one is replaced.</para>
/// <para>Who clears a bit and then reads the disk misses nothing: a write that the reading did not see sets the bit again when it has ended
/// (<see cref="Graph.BlockNode"/> marks before a write and after it).</para>
/// </remarks>
internal sealed partial class DirtyBitmap
{
    /// <summary>log2 of the smallest <see cref="Granularity"/>: a sector.</summary>
    internal const int MinGranularityBits = 9;

    /// <summary>log2 of the largest <see cref="Granularity"/>.</summary>
    internal const int MaxGranularityBits = 31;

    /// <summary>The most bits a bitmap has: 512 MiB of them, QEMU's limit.</summary>
    internal const long MaxBits = 1L << 32;

    private const int ChunkWords = 512;
    private const int ChunkBits = ChunkWords * 64;

    private static readonly ulong[] s_full = CreateFull();

    private readonly Lock _shape = new();
    private ulong[]?[]? _chunks; // volatile; replaced, and its elements changed, under _shape. Made when the first bit is set
    private long _length;        // volatile; written under _shape

    /// <summary>Makes a bitmap with no bit set.</summary>
    /// <param name="length">Bytes of the disk.</param>
    /// <param name="granularityBits">log2 of the bytes a bit stands for.</param>
    internal DirtyBitmap(long length, int granularityBits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfLessThan(granularityBits, MinGranularityBits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(granularityBits, MaxGranularityBits);
        GranularityBits = granularityBits;
        ThrowIfTooLong(length);
        _length = length;
    }

    /// <summary>log2 of <see cref="Granularity"/>.</summary>
    internal int GranularityBits { get; }

    /// <summary>Bytes that a bit stands for; the last bit may stand for fewer.</summary>
    internal long Granularity => 1L << GranularityBits;

    /// <summary>Bytes of the disk.</summary>
    internal long Length => Volatile.Read(ref _length);

    /// <summary>Number of bits.</summary>
    internal long BitCount => BitsFor(Length);

    /// <summary>True when no bit is set.</summary>
    internal bool IsEmpty => NextDirty(0) is null;

    /// <summary>Sets the bits of a range, whole units around it; what lies past the end is left out.</summary>
    internal void Set(long offset, long length)
    {
        // Whoever comes here after a write has stored bytes: they are stored before it looks whether the bit is still there.
        Interlocked.MemoryBarrier();
        ByteRange range = new ByteRange(offset, length).ClampTo(Length);
        if (range.Length > 0)
        {
            SetBits(range.Offset >> GranularityBits, ((range.End - 1) >> GranularityBits) + 1);
        }
    }

    /// <summary>Clears the bits of whole units inside a range; the end of the disk ends a unit.</summary>
    internal void Clear(long offset, long length)
    {
        ByteRange range = new ByteRange(offset, length).ClampTo(Length);
        long first = Alignment.DivideRoundUp(range.Offset, Granularity);
        long end = range.End == Length ? BitCount : range.End >> GranularityBits;
        if (first < end)
        {
            ClearBits(first, end);
        }
    }

    /// <summary>Clears every bit.</summary>
    internal void Clear() => Clear(0, Length);

    /// <summary>True when the unit that contains <paramref name="offset"/> is dirty.</summary>
    internal bool IsDirty(long offset)
    {
        long bit = offset >> GranularityBits;
        return ChunkOf(bit) is { } chunk && (Volatile.Read(ref chunk[WordOf(bit)]) & (1UL << (int)(bit & 63))) != 0;
    }

    /// <summary>True when a unit is dirty that a range touches. Looks at those alone, so it costs what the range is long.</summary>
    internal bool IsAnyDirty(long offset, long length)
    {
        ByteRange range = new ByteRange(offset, length).ClampTo(Length);
        long end = BitsFor(range.End);
        return range.Length > 0 && Find(range.Offset >> GranularityBits, end, wanted: true) < end;
    }

    /// <summary>The first run of dirty units at or after <paramref name="offset"/>, in bytes; one that contains the offset begins there. It is cut at the end of the disk. Null when there is none.</summary>
    internal ByteRange? NextDirty(long offset)
    {
        long count = BitCount;
        long first = Find(Math.Min(offset >> GranularityBits, count), count, wanted: true);
        if (offset >= Length || first >= count)
        {
            return null;
        }

        long start = Math.Max(offset, first << GranularityBits);
        long end = Find(first, count, wanted: false);
        return new ByteRange(start, (end >= count ? Length : end << GranularityBits) - start);
    }

    /// <summary>The runs of dirty units in ascending order. What changes meanwhile may be in them or not.</summary>
    internal IEnumerable<ByteRange> DirtyRanges()
    {
        for (ByteRange? run = NextDirty(0); run is { } range; run = NextDirty(range.End))
        {
            yield return range;
        }
    }

    /// <summary>Bytes in dirty units: set bits times <see cref="Granularity"/>, less what the last unit lacks.</summary>
    internal long CountDirtyBytes()
    {
        long bits = 0;
        foreach (ulong[]? chunk in Volatile.Read(ref _chunks) ?? [])
        {
            for (int i = 0; i < (chunk?.Length ?? 0); i++)
            {
                bits += BitOperations.PopCount(Volatile.Read(ref chunk![i]));
            }
        }

        long lacking = (BitCount << GranularityBits) - Length;
        return (bits << GranularityBits) - (lacking > 0 && IsDirty(Length - 1) ? lacking : 0);
    }

    /// <summary>Sets what is set in another bitmap of the same disk, whatever its granularity.</summary>
    internal void Merge(DirtyBitmap source)
    {
        foreach (ByteRange range in source.DirtyRanges())
        {
            Set(range.Offset, range.Length);
        }
    }

    /// <summary>A bitmap of the same disk with the same bits.</summary>
    internal DirtyBitmap Copy()
    {
        var copy = new DirtyBitmap(Length, GranularityBits);
        copy.Merge(this);
        return copy;
    }

    /// <summary>Bits for a disk of <paramref name="length"/> bytes.</summary>
    internal static long BitsFor(long length, int granularityBits) => Alignment.DivideRoundUp(length, 1L << granularityBits);

    /// <summary>True when a bitmap of this granularity has a bit for every unit of a disk of <paramref name="length"/> bytes.</summary>
    internal static bool CanCover(long length, int granularityBits) => BitsFor(length, granularityBits) <= MaxBits;

    /// <summary>Follows a disk that changed its length: what is added is clean, what is cut off is forgotten.</summary>
    internal void Resize(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ThrowIfTooLong(length);
        lock (_shape)
        {
            ResizeLocked(length);
        }
    }

    /// <summary>Follows a node that grew because somebody wrote past its end, to at least <paramref name="length"/>.</summary>
    internal void GrowTo(long length)
    {
        ThrowIfTooLong(length);
        lock (_shape)
        {
            if (length > _length)
            {
                ResizeLocked(length);
            }
        }
    }
}
