using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>Splits a buffer into runs of zero units and runs of other units.</summary>
internal static class ZeroScan
{
    /// <summary>Length of the run that <paramref name="buffer"/> starts with, in whole units except at the end of the buffer.</summary>
    /// <param name="buffer">Not empty.</param>
    /// <param name="unit">Bytes that are judged as one.</param>
    /// <param name="isZero">Whether the run is zero.</param>
    internal static int NextRun(ReadOnlySpan<byte> buffer, int unit, out bool isZero)
    {
        isZero = IsZeroUnit(buffer, 0, unit);
        int at = unit;
        while (at < buffer.Length && IsZeroUnit(buffer, at, unit) == isZero)
        {
            at += unit;
        }

        return Math.Min(at, buffer.Length);
    }

    private static bool IsZeroUnit(ReadOnlySpan<byte> buffer, int at, int unit)
        => ZeroBytes.IsAllZero(buffer.Slice(at, Math.Min(unit, buffer.Length - at)));
}
