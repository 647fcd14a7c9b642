namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Encodes raw deflate (RFC 1951) that refers back at most 4 KiB, the window readers of qcow2 have. Made to be correct and plain; where the runtime's own
/// zlib can be reached, that is used instead.
/// </summary>
internal static class DeflateEncoder
{
    /// <summary>Symbols in a block. Content changes; new codes for every so many symbols follow it.</summary>
    private const int BlockSymbols = 16384;

    /// <summary>Encodes all of <paramref name="source"/> as one stream; false when it does not fit.</summary>
    public static bool TryEncode(ReadOnlySpan<byte> source, Span<byte> destination, out int length)
    {
        BitWriter writer = new(destination);
        MatchFinder finder = new();
        List<DeflateSymbol> symbols = new(BlockSymbols + 1);
        int blockStart = 0;
        int at = 0;
        do
        {
            symbols.Clear();
            while (at < source.Length && symbols.Count < BlockSymbols)
            {
                at += finder.Next(source, at, symbols);
            }

            DeflateBlock.Write(ref writer, symbols, source[blockStart..at], isLast: at == source.Length);
            blockStart = at;
        }
        while (at < source.Length && !writer.IsFull);

        length = writer.Finish();
        return !writer.IsFull;
    }
}
