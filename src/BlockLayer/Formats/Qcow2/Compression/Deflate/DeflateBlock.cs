namespace BlockLayer.Formats.Qcow2;

/// <summary>Writes one block in the smallest of the three ways deflate has (RFC 1951, 3.2.3): stored, with the fixed code, with codes of its own.</summary>
internal static class DeflateBlock
{
    private const int EndOfBlock = 256;
    private const int LiteralCodes = 286;
    private const int DistanceCodes = 30;
    private const int MaxCodeLength = 15;
    private const int MaxLengthCodeLength = 7;
    private const int MaxStoredLength = ushort.MaxValue;

    // The repetitions of the code length alphabet: previous length 3-6 times, zero 3-10 times, zero 11-138 times.
    private const int RepeatPrevious = 16;
    private const int RepeatZeroShort = 17;
    private const int RepeatZeroLong = 18;

    // RFC 1951, 3.2.7: the order in which the lengths of the code length code are written, the likely ones first.
    private static readonly byte[] s_lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

    private static readonly HuffmanCode s_fixedLiterals = HuffmanCode.FromLengths(
        [.. Enumerable.Range(0, 288).Select(static i => (byte)(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))]);

    private static readonly HuffmanCode s_fixedDistances = HuffmanCode.FromLengths([.. Enumerable.Repeat((byte)5, DistanceCodes)]);

    private enum BlockType : uint
    {
        Stored = 0,
        Fixed = 1,
        Dynamic = 2,
    }

    /// <summary>Writes <paramref name="symbols"/>, which stand for the bytes <paramref name="source"/>.</summary>
    public static void Write(ref BitWriter writer, List<DeflateSymbol> symbols, ReadOnlySpan<byte> source, bool isLast)
    {
        Span<int> literalCounts = stackalloc int[LiteralCodes];
        Span<int> distanceCounts = stackalloc int[DistanceCodes];
        literalCounts.Clear();
        distanceCounts.Clear();
        literalCounts[EndOfBlock] = 1;
        long extraBits = 0;
        foreach (DeflateSymbol symbol in symbols)
        {
            literalCounts[symbol.LiteralCode]++;
            if (symbol.IsCopy)
            {
                distanceCounts[symbol.DistanceCode]++;
                extraBits += symbol.LengthExtra.Count + symbol.DistanceExtra.Count;
            }
        }

        HuffmanCode literals = HuffmanCode.FromCounts(literalCounts, MaxCodeLength);
        HuffmanCode distances = HuffmanCode.FromCounts(distanceCounts, MaxCodeLength);
        List<(byte Code, byte Extra)> lengths = EncodeLengths(literals.Lengths, distances.Lengths, out int literalCodes, out int distanceCodes);
        HuffmanCode lengthCode = CodeForLengths(lengths, out long lengthBits);

        long dynamicBits = lengthBits + literals.Cost(literalCounts) + distances.Cost(distanceCounts) + extraBits;
        long fixedBits = s_fixedLiterals.Cost(literalCounts) + s_fixedDistances.Cost(distanceCounts) + extraBits;
        long storedBits = 8L * source.Length + 40L * (source.Length / MaxStoredLength + 1);
        if (storedBits <= Math.Min(dynamicBits, fixedBits))
        {
            WriteStored(ref writer, source, isLast);
        }
        else if (fixedBits <= dynamicBits)
        {
            WriteType(ref writer, BlockType.Fixed, isLast);
            WriteSymbols(ref writer, symbols, s_fixedLiterals, s_fixedDistances);
        }
        else
        {
            WriteType(ref writer, BlockType.Dynamic, isLast);
            WriteCodes(ref writer, lengths, lengthCode, literalCodes, distanceCodes);
            WriteSymbols(ref writer, symbols, literals, distances);
        }
    }

    private static void WriteType(ref BitWriter writer, BlockType type, bool isLast) => writer.Write((isLast ? 1u : 0u) | (uint)type << 1, 3);

    private static void WriteStored(ref BitWriter writer, ReadOnlySpan<byte> source, bool isLast)
    {
        do
        {
            int length = Math.Min(source.Length, MaxStoredLength);
            WriteType(ref writer, BlockType.Stored, isLast && length == source.Length);
            writer.AlignToByte();
            writer.Write((uint)length | (uint)(ushort)~length << 16, 32);
            writer.WriteBytes(source[..length]);
            source = source[length..];
        }
        while (!source.IsEmpty);
    }

    private static void WriteSymbols(ref BitWriter writer, List<DeflateSymbol> symbols, HuffmanCode literals, HuffmanCode distances)
    {
        foreach (DeflateSymbol symbol in symbols)
        {
            literals.Write(ref writer, symbol.LiteralCode);
            if (symbol.IsCopy)
            {
                (int count, uint bits) = symbol.LengthExtra;
                writer.Write(bits, count);
                distances.Write(ref writer, symbol.DistanceCode);
                (count, bits) = symbol.DistanceExtra;
                writer.Write(bits, count);
            }
        }

        literals.Write(ref writer, EndOfBlock);
    }

    private static void WriteCodes(ref BitWriter writer, List<(byte Code, byte Extra)> lengths, HuffmanCode lengthCode, int literalCodes, int distanceCodes)
    {
        int used = UsedLengthCodes(lengthCode);
        writer.Write((uint)(literalCodes - 257), 5);
        writer.Write((uint)(distanceCodes - 1), 5);
        writer.Write((uint)(used - 4), 4);
        foreach (byte code in s_lengthOrder.AsSpan(0, used))
        {
            writer.Write(lengthCode.Lengths[code], 3);
        }

        foreach ((byte code, byte extra) in lengths)
        {
            lengthCode.Write(ref writer, code);
            writer.Write(extra, ExtraBits(code));
        }
    }

    private static HuffmanCode CodeForLengths(List<(byte Code, byte Extra)> lengths, out long bits)
    {
        Span<int> counts = stackalloc int[s_lengthOrder.Length];
        counts.Clear();
        bits = 0;
        foreach ((byte code, _) in lengths)
        {
            counts[code]++;
            bits += ExtraBits(code);
        }

        HuffmanCode lengthCode = HuffmanCode.FromCounts(counts, MaxLengthCodeLength);
        bits += lengthCode.Cost(counts) + 14 + 3 * UsedLengthCodes(lengthCode);
        return lengthCode;
    }

    private static int UsedLengthCodes(HuffmanCode lengthCode)
    {
        int used = s_lengthOrder.Length;
        while (used > 4 && lengthCode.Lengths[s_lengthOrder[used - 1]] == 0)
        {
            used--;
        }

        return used;
    }

    private static int ExtraBits(byte code) => code switch
    {
        RepeatPrevious => 2,
        RepeatZeroShort => 3,
        RepeatZeroLong => 7,
        _ => 0,
    };

    /// <summary>Both codes' lengths as one list, trailing zeroes cut, with repetitions.</summary>
    private static List<(byte Code, byte Extra)> EncodeLengths(byte[] literals, byte[] distances, out int literalCodes, out int distanceCodes)
    {
        literalCodes = Math.Max(257, Array.FindLastIndex(literals, static length => length != 0) + 1);
        distanceCodes = Math.Max(1, Array.FindLastIndex(distances, static length => length != 0) + 1);
        byte[] all = [.. literals.AsSpan(0, literalCodes), .. distances.AsSpan(0, distanceCodes)];
        List<(byte Code, byte Extra)> encoded = [];
        for (int at = 0; at < all.Length;)
        {
            byte length = all[at];
            int run = 1;
            while (at + run < all.Length && all[at + run] == length)
            {
                run++;
            }

            at += run;
            if (length != 0)
            {
                encoded.Add((length, 0));
                run--;
            }

            for (int taken; run > 0; run -= taken)
            {
                (taken, (byte, byte) item) = length == 0 ? RepeatZero(run) : RepeatLength(run, length);
                encoded.Add(item);
            }
        }

        return encoded;
    }

    private static (int Taken, (byte Code, byte Extra) Item) RepeatZero(int run) => run switch
    {
        < 3 => (1, (0, 0)),
        < 11 => (run, (RepeatZeroShort, (byte)(run - 3))),
        _ => (Math.Min(run, 138), (RepeatZeroLong, (byte)(Math.Min(run, 138) - 11))),
    };

    private static (int Taken, (byte Code, byte Extra) Item) RepeatLength(int run, byte length) => run < 3
        ? (1, (length, 0))
        : (Math.Min(run, 6), (RepeatPrevious, (byte)(Math.Min(run, 6) - 3)));
}
