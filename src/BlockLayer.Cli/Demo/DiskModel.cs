using System.Buffers.Binary;

namespace BlockLayer.Cli.Demo;

/// <summary>
/// What a disk must hold, known without reading it: for each 512-byte sector the number of the write that came last. The bytes of a sector follow from its
/// position and that number, so a byte from another place, another time or another image cannot look right. Number 0 is zeroes.
/// </summary>
/// <remarks>Different callers may use different sectors at the same time.</remarks>
internal sealed class DiskModel
{
    internal const int SectorLength = 512;

    private readonly uint[] _writes;

    internal DiskModel(long length) => _writes = new uint[length / SectorLength];

    private DiskModel(uint[] writes) => _writes = writes;

    internal long Length => _writes.LongLength * SectorLength;

    /// <summary>The disk as it is now, to be compared with later.</summary>
    internal DiskModel Copy() => new([.. _writes]);

    /// <summary>Fills <paramref name="buffer"/> with what write number <paramref name="write"/> puts at <paramref name="offset"/>.</summary>
    internal static void Fill(Span<byte> buffer, long offset, uint write)
    {
        for (int at = 0; at < buffer.Length; at += SectorLength)
        {
            FillSector(buffer.Slice(at, SectorLength), (offset + at) / SectorLength, write);
        }
    }

    /// <summary>Remembers that a write or, with number 0, zeroes completed.</summary>
    internal void Record(long offset, int length, uint write)
        => _writes.AsSpan((int)(offset / SectorLength), length / SectorLength).Fill(write);

    /// <summary>The offset of the first byte of <paramref name="found"/> that is not what the disk must hold; null if all are.</summary>
    internal long? FindDifference(ReadOnlySpan<byte> found, long offset)
    {
        Span<byte> expected = stackalloc byte[SectorLength];
        for (int at = 0; at < found.Length; at += SectorLength)
        {
            long sector = (offset + at) / SectorLength;
            FillSector(expected, sector, _writes[sector]);
            int equal = expected.CommonPrefixLength(found.Slice(at, SectorLength));
            if (equal < SectorLength)
            {
                return offset + at + equal;
            }
        }

        return null;
    }

    private static void FillSector(Span<byte> sector, long index, uint write)
    {
        if (write == 0)
        {
            sector.Clear();
            return;
        }

        ulong state = ((ulong)write << 40) ^ (ulong)index;
        for (int at = 0; at < sector.Length; at += sizeof(ulong))
        {
            state += 0x9e3779b97f4a7c15;
            ulong mixed = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
            BinaryPrimitives.WriteUInt64LittleEndian(sector[at..], mixed ^ (mixed >> 27));
        }
    }
}
