namespace BlockLayer.Primitives;

/// <summary>Zeroes to write from, and the question whether a buffer holds nothing else.</summary>
internal static class ZeroBytes
{
    private static readonly byte[] s_zeroes = new byte[256 * 1024];

    /// <summary>Read-only zeroes; callers slice what they need and loop over longer ranges.</summary>
    internal static ReadOnlyMemory<byte> Block => s_zeroes;

    /// <summary>True when every byte is zero.</summary>
    internal static bool IsAllZero(ReadOnlySpan<byte> buffer) => buffer.IndexOfAnyExcept((byte)0) < 0;
}
