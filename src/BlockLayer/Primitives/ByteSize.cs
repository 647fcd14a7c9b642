using System.Buffers;
using System.Globalization;

namespace BlockLayer.Primitives;

/// <summary>Sizes as people write them: binary units, <c>64K</c> is 65,536 bytes, as qemu-img reads them.</summary>
public static class ByteSize
{
    private const string Units = "BKMGTPE";

    // Two digits follow the point, so this and more would be shown as 1024 of the unit.
    private const double ShownAs1024 = 1023.995;

    private static readonly SearchValues<char> s_numberCharacters = SearchValues.Create("0123456789.");

    /// <summary>Reads <c>4194304</c>, <c>4M</c>, <c>1.5G</c>, <c>64k</c>, <c>10GiB</c>, <c>10GB</c>. All units are powers of 1024.</summary>
    /// <param name="text">The size.</param>
    /// <param name="bytes">The size in bytes, when the text is one.</param>
    /// <returns>False when the text is no size, is negative, is a fraction of bytes without a unit, or exceeds 2^63-1 bytes.</returns>
    public static bool TryParse(ReadOnlySpan<char> text, out long bytes)
    {
        bytes = 0;
        text = text.Trim();
        int digits = text.IndexOfAnyExcept(s_numberCharacters);
        ReadOnlySpan<char> number = digits < 0 ? text : text[..digits];
        ReadOnlySpan<char> suffix = digits < 0 ? [] : text[digits..].Trim();
        int power = 0;
        if (!suffix.IsEmpty)
        {
            power = Units.IndexOf(char.ToUpperInvariant(suffix[0]), StringComparison.Ordinal);
            ReadOnlySpan<char> rest = suffix[1..];
            bool known = rest.IsEmpty || (power > 0 && (rest.Equals("iB", StringComparison.OrdinalIgnoreCase) || rest.Equals("B", StringComparison.OrdinalIgnoreCase)));
            if (power < 0 || !known)
            {
                return false;
            }
        }

        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value))
        {
            return false;
        }

        // Divided, not multiplied: the product of a long number and a large unit exceeds even a decimal.
        long unit = 1L << (10 * power);
        if (value > (decimal)long.MaxValue / unit || (power == 0 && value != decimal.Truncate(value)))
        {
            return false;
        }

        bytes = (long)(value * unit);
        return true;
    }

    /// <summary>Writes a size with the largest unit that leaves a number of at least one: <c>512 B</c>, <c>1.5 GiB</c>.</summary>
    public static string Format(long bytes)
    {
        if (bytes is > -1024 and < 1024)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{bytes} B");
        }

        double value = bytes;
        int power = 0;
        while (Math.Abs(value) >= ShownAs1024 && power < Units.Length - 1)
        {
            value /= 1024;
            power++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {Units[power]}iB");
    }
}
