using System.Buffers.Binary;
using System.Numerics;

namespace BlockLayer.Primitives;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4): tells torn and foreign bytes of our own files from whole ones. No protection against intent.</summary>
internal static class Crc32C
{
    /// <summary>The checksum of <paramref name="bytes"/>, appended to what <paramref name="previous"/> is the checksum of.</summary>
    internal static uint Compute(ReadOnlySpan<byte> bytes, uint previous = 0)
    {
        uint crc = ~previous;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte last in bytes)
        {
            crc = BitOperations.Crc32C(crc, last);
        }

        return ~crc;
    }
}
