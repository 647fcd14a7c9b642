using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>A SHA-256 value, or several of them added without carry.</summary>
internal readonly record struct Hash256(Vector256<ulong> Bits)
{
    /// <summary>Bytes.</summary>
    internal const int Size = 32;

    /// <summary>The hash of <paramref name="bytes"/>.</summary>
    internal static Hash256 Of(ReadOnlySpan<byte> bytes)
    {
        Span<byte> hash = stackalloc byte[Size];
        SHA256.HashData(bytes, hash);
        return Read(hash);
    }

    /// <summary>Takes the value from the first <see cref="Size"/> bytes.</summary>
    internal static Hash256 Read(ReadOnlySpan<byte> source) => new(Vector256.Create(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..])));

    /// <summary>Puts the value into the first <see cref="Size"/> bytes.</summary>
    internal void WriteTo(Span<byte> target)
    {
        for (int i = 0; i < 4; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[(8 * i)..], Bits[i]);
        }
    }

    /// <summary>Both, whatever their order.</summary>
    internal Hash256 Combine(Hash256 other) => new(Bits ^ other.Bits);
}
