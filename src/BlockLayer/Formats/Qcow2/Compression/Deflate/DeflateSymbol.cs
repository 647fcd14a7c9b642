namespace BlockLayer.Formats.Qcow2;

/// <summary>A literal byte (<paramref name="Distance"/> 0), or a copy of <paramref name="Value"/> bytes from <paramref name="Distance"/> bytes back.</summary>
internal readonly record struct DeflateSymbol(ushort Value, ushort Distance)
{
    /// <summary>First code of the literal and length alphabet that is a length.</summary>
    public const int FirstLengthCode = 257;

    // RFC 1951, 3.2.5: the shortest length and the nearest distance of each code; a code's extra bits count up from there.
    private static readonly ushort[] s_lengthBase =
        [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];

    private static readonly ushort[] s_distanceBase =
        [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];

    /// <summary>True for a copy.</summary>
    public bool IsCopy => Distance != 0;

    /// <summary>Code in the literal and length alphabet.</summary>
    public int LiteralCode => IsCopy ? FirstLengthCode + LengthIndex : Value;

    /// <summary>Code in the distance alphabet.</summary>
    public int DistanceCode => IndexIn(s_distanceBase, Distance);

    /// <summary>Extra bits behind the length code: how many, and their value.</summary>
    public (int Count, uint Bits) LengthExtra
    {
        get
        {
            int index = LengthIndex;
            return (index is < 8 or 28 ? 0 : (index - 4) / 4, (uint)(Value - s_lengthBase[index]));
        }
    }

    /// <summary>Extra bits behind the distance code: how many, and their value.</summary>
    public (int Count, uint Bits) DistanceExtra
    {
        get
        {
            int code = DistanceCode;
            return (code < 4 ? 0 : (code - 2) / 2, (uint)(Distance - s_distanceBase[code]));
        }
    }

    private int LengthIndex => IndexIn(s_lengthBase, Value);

    /// <summary>The last entry that is not above the value.</summary>
    private static int IndexIn(ushort[] bases, ushort value)
    {
        int index = Array.BinarySearch(bases, value);
        return index >= 0 ? index : ~index - 1;
    }
}
