using System.Numerics;

namespace BlockLayer.Primitives;

/// <summary>Rounding to powers of two and exact division, said the same way everywhere.</summary>
internal static class Alignment
{
    /// <summary>The largest multiple of <paramref name="unit"/> (a power of two) not above <paramref name="value"/>.</summary>
    internal static long RoundDown(long value, long unit) => value & -unit;

    /// <summary>The smallest multiple of <paramref name="unit"/> (a power of two) not below <paramref name="value"/>.</summary>
    /// <exception cref="OverflowException">The result exceeds 2^63-1.</exception>
    internal static long RoundUp(long value, long unit) => checked(value + (unit - 1)) & -unit;

    /// <summary>True when <paramref name="value"/> is a multiple of <paramref name="unit"/>, a power of two.</summary>
    internal static bool IsAligned(long value, long unit) => (value & (unit - 1)) == 0;

    /// <summary>Quotient rounded up; both positive.</summary>
    internal static long DivideRoundUp(long value, long divisor) => (value / divisor) + (value % divisor == 0 ? 0 : 1);

    /// <summary>log2 of a power of two.</summary>
    internal static int Log2(long powerOfTwo) => BitOperations.TrailingZeroCount(powerOfTwo);
}
