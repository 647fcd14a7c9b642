namespace BlockLayer.Formats.Qcow2;

/// <summary>A canonical Huffman code of limited length (RFC 1951, 3.2.2).</summary>
internal sealed class HuffmanCode
{
    private readonly ushort[] _codes;

    private HuffmanCode(byte[] lengths)
    {
        Lengths = lengths;
        _codes = AssignCodes(lengths);
    }

    /// <summary>Bits of each symbol's code; 0 for a symbol without one.</summary>
    public byte[] Lengths { get; }

    /// <summary>The code with these lengths, which must form a code.</summary>
    public static HuffmanCode FromLengths(byte[] lengths) => new(lengths);

    /// <summary>A code that is as short as can be for these counts, no symbol's longer than <paramref name="maxLength"/> bits.</summary>
    public static HuffmanCode FromCounts(ReadOnlySpan<int> counts, int maxLength)
    {
        long[] weights = new long[counts.Length];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = counts[i];
        }

        while (true)
        {
            byte[] lengths = BuildLengths(weights);
            if (lengths.Max() <= maxLength)
            {
                return new HuffmanCode(lengths);
            }

            // Flattening the counts flattens the tree; all equal, the deepest of 286 symbols is at 9.
            for (int i = 0; i < weights.Length; i++)
            {
                weights[i] = (weights[i] + 1) / 2;
            }
        }
    }

    /// <summary>Writes the code of one symbol.</summary>
    public void Write(ref BitWriter writer, int symbol) => writer.Write(_codes[symbol], Lengths[symbol]);

    /// <summary>Bits that a text with these counts takes.</summary>
    public long Cost(ReadOnlySpan<int> counts)
    {
        long bits = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            bits += (long)counts[i] * Lengths[i];
        }

        return bits;
    }

    private static byte[] BuildLengths(long[] weights)
    {
        byte[] lengths = new byte[weights.Length];
        PriorityQueue<int, (long Weight, int Order)> roots = new();
        List<int> parents = [];
        List<int> leaves = [];
        for (int symbol = 0; symbol < weights.Length; symbol++)
        {
            if (weights[symbol] > 0)
            {
                roots.Enqueue(parents.Count, (weights[symbol], parents.Count));
                parents.Add(-1);
                leaves.Add(symbol);
            }
        }

        if (leaves.Count == 1)
        {
            lengths[leaves[0]] = 1;
            return lengths;
        }

        while (roots.TryDequeue(out int first, out (long Weight, int Order) a) && roots.TryDequeue(out int second, out (long Weight, int Order) b))
        {
            parents[first] = parents.Count;
            parents[second] = parents.Count;
            roots.Enqueue(parents.Count, (a.Weight + b.Weight, parents.Count));
            parents.Add(-1);
        }

        for (int leaf = 0; leaf < leaves.Count; leaf++)
        {
            for (int node = leaf; parents[node] >= 0; node = parents[node])
            {
                lengths[leaves[leaf]]++;
            }
        }

        return lengths;
    }

    /// <summary>Codes of one length count up; they are written from their most significant bit, so they are stored reversed.</summary>
    private static ushort[] AssignCodes(byte[] lengths)
    {
        ushort[] codes = new ushort[lengths.Length];
        int code = 0;
        for (int length = 1; length <= 15; length++)
        {
            for (int symbol = 0; symbol < lengths.Length; symbol++)
            {
                if (lengths[symbol] == length)
                {
                    codes[symbol] = Reverse(code++, length);
                }
            }

            code <<= 1;
        }

        return codes;
    }

    private static ushort Reverse(int code, int length)
    {
        int reversed = 0;
        for (int bit = 0; bit < length; bit++)
        {
            reversed = reversed << 1 | code >> bit & 1;
        }

        return (ushort)reversed;
    }
}
