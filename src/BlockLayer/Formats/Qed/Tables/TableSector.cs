using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The unit in which tables are written back: 64 entries, which a disk writes whole or not at all. Tables are little-endian on disk, host order in memory.
/// </summary>
internal static class TableSector
{
    /// <summary>Entries in a sector.</summary>
    internal const int Entries = QedLimits.SectorSize / L2Entry.Size;

    /// <summary>
    /// How many entries, from the first on, each point to the cluster after the one before; at least 1. The entries are of one slice or chunk.
    /// </summary>
    internal static int CountContiguous(ReadOnlySpan<ulong> entries, int clusterSize)
    {
        int count = 1;
        ulong next = entries[0] + (uint)clusterSize;
        while (count < entries.Length && entries[count] == next && next > entries[0]) // an offset near 2^64 is not followed by 0
        {
            next += (uint)clusterSize;
            count++;
        }

        return count;
    }

    /// <summary>Copies entries out as they are stored on disk.</summary>
    internal static void Encode(ReadOnlySpan<ulong> entries, Span<byte> bytes)
    {
        Span<ulong> stored = MemoryMarshal.Cast<byte, ulong>(bytes);
        if (BitConverter.IsLittleEndian)
        {
            entries.CopyTo(stored);
        }
        else
        {
            BinaryPrimitives.ReverseEndianness(entries, stored);
        }
    }

    /// <summary>Copies entries in from the bytes on disk.</summary>
    internal static void Decode(ReadOnlySpan<byte> bytes, Span<ulong> entries)
    {
        ReadOnlySpan<ulong> stored = MemoryMarshal.Cast<byte, ulong>(bytes);
        if (BitConverter.IsLittleEndian)
        {
            stored.CopyTo(entries);
        }
        else
        {
            BinaryPrimitives.ReverseEndianness(stored, entries);
        }
    }
}
