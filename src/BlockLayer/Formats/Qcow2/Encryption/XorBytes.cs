using System.Numerics;
using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Adds bytes without carry, a vector at a time.</summary>
internal static class XorBytes
{
    /// <summary>Writes left xor right; the destination may be either of them.</summary>
    internal static void Into(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> destination)
    {
        ReadOnlySpan<Vector<byte>> lefts = MemoryMarshal.Cast<byte, Vector<byte>>(left);
        ReadOnlySpan<Vector<byte>> rights = MemoryMarshal.Cast<byte, Vector<byte>>(right[..left.Length]);
        Span<Vector<byte>> results = MemoryMarshal.Cast<byte, Vector<byte>>(destination[..left.Length]);
        for (int i = 0; i < results.Length; i++)
        {
            results[i] = lefts[i] ^ rights[i];
        }

        for (int i = results.Length * Vector<byte>.Count; i < left.Length; i++)
        {
            destination[i] = (byte)(left[i] ^ right[i]);
        }
    }
}
