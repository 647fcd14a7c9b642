using System.Numerics;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Finds repetitions: hash chains over the last 4 KiB, and one look ahead before a match is taken.</summary>
internal sealed class MatchFinder
{
    private const int WindowLength = 4096;
    private const int MinMatch = 3;
    private const int MaxMatch = 258;
    private const int HashBits = 13;

    /// <summary>Earlier places tried for each position. More finds little in so small a window.</summary>
    private const int MaxTries = 48;

    private readonly int[] _newest = new int[1 << HashBits];
    private readonly int[] _older = new int[WindowLength];

    public MatchFinder() => Array.Fill(_newest, -1);

    /// <summary>Appends the symbol at <paramref name="at"/>, perhaps two, and returns how many bytes they stand for.</summary>
    public int Next(ReadOnlySpan<byte> source, int at, List<DeflateSymbol> symbols)
    {
        DeflateSymbol match = Longest(source, at);
        Remember(source, at);
        if (!match.IsCopy)
        {
            symbols.Add(match);
            return 1;
        }

        // A literal and a longer match behind it are better than a short match now.
        int taken = 1;
        DeflateSymbol later = at + 1 < source.Length ? Longest(source, at + 1) : default;
        if (later.IsCopy && later.Value > match.Value)
        {
            symbols.Add(new DeflateSymbol(source[at], 0));
            Remember(source, at + 1);
            match = later;
            taken = 2;
        }

        symbols.Add(match);
        int end = at + (taken - 1) + match.Value;
        for (int covered = at + taken; covered < end; covered++)
        {
            Remember(source, covered);
        }

        return end - at;
    }

    private DeflateSymbol Longest(ReadOnlySpan<byte> source, int at)
    {
        DeflateSymbol best = new(source[at], 0);
        int limit = Math.Min(MaxMatch, source.Length - at);
        if (limit < MinMatch)
        {
            return best;
        }

        int bestLength = MinMatch - 1;
        int candidate = _newest[Hash(source, at)];
        for (int tries = 0; tries < MaxTries && candidate >= 0 && at - candidate <= WindowLength; tries++)
        {
            int length = source.Slice(candidate, limit).CommonPrefixLength(source.Slice(at, limit));
            if (length > bestLength)
            {
                best = new DeflateSymbol((ushort)length, (ushort)(at - candidate));
                bestLength = length;
                if (length == limit)
                {
                    break;
                }
            }

            // A slot that was taken over by a newer position ends the chain.
            int older = _older[candidate % WindowLength];
            candidate = older < candidate ? older : -1;
        }

        return best;
    }

    private void Remember(ReadOnlySpan<byte> source, int at)
    {
        if (source.Length - at >= MinMatch)
        {
            int hash = Hash(source, at);
            _older[at % WindowLength] = _newest[hash];
            _newest[hash] = at;
        }
    }

    private static int Hash(ReadOnlySpan<byte> source, int at)
    {
        uint three = (uint)(source[at] | source[at + 1] << 8 | source[at + 2] << 16);
        return (int)(BitOperations.RotateLeft(three * 0x9E37_79B1u, HashBits) & ((1 << HashBits) - 1));
    }
}
