using System.Buffers.Binary;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>One sector of a mirror's log behind its header: the bits of 4,032 regions. Disks write a sector whole, so a bit never tears away from its checksum.</summary>
internal static class MirrorLogSector
{
    internal const int Size = 512;

    /// <summary>Words of bits in a sector.</summary>
    internal const int WordCount = 63;

    /// <summary>Regions in a sector.</summary>
    internal const int RegionCount = WordCount * 64;

    private const int BitsAt = 4;
    private const int ChecksumAt = 508;

    /// <summary>How many sectors hold the bits of <paramref name="regions"/>.</summary>
    internal static int CountFor(int regions) => (regions + RegionCount - 1) / RegionCount;

    /// <summary>Adds the regions of sector <paramref name="index"/> to <paramref name="dirty"/>; all of them if the sector is damaged.</summary>
    internal static void Parse(ReadOnlySpan<byte> sector, int index, RegionSet dirty)
    {
        bool whole = BinaryPrimitives.ReadUInt32LittleEndian(sector) == (uint)index + 1
            && BinaryPrimitives.ReadUInt32LittleEndian(sector[ChecksumAt..]) == Crc32C.Compute(sector[..ChecksumAt]);
        int first = index * RegionCount;
        for (int region = first; region < Math.Min(first + RegionCount, dirty.Capacity); region++)
        {
            int bit = region - first;
            if (!whole || (sector[BitsAt + (bit / 8)] >> (bit % 8) & 1) != 0)
            {
                dirty.Add(region);
            }
        }
    }

    /// <summary>Writes all <see cref="Size"/> bytes of sector <paramref name="index"/>.</summary>
    internal static void WriteTo(Span<byte> sector, int index, RegionSet dirty)
    {
        sector.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(sector, (uint)index + 1);
        int first = index * WordCount;
        ReadOnlySpan<ulong> words = dirty.Words[first..Math.Min(first + WordCount, dirty.Words.Length)];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(sector[(BitsAt + (i * sizeof(ulong)))..], words[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(sector[ChecksumAt..], Crc32C.Compute(sector[..ChecksumAt]));
    }
}
