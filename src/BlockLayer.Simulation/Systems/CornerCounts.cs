using System.Globalization;

namespace BlockLayer.Simulation;

/// <summary>How often a run, or several together, came to each <see cref="Corner"/>.</summary>
public sealed class CornerCounts : IEquatable<CornerCounts>
{
    private readonly int[] _counts = new int[Enum.GetValues<Corner>().Length];

    /// <summary>How often it came there.</summary>
    public int this[Corner corner] => _counts[(int)corner];

    /// <inheritdoc/>
    public bool Equals(CornerCounts? other) => other is not null && _counts.AsSpan().SequenceEqual(other._counts);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as CornerCounts);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        foreach (int count in _counts)
        {
            hash.Add(count);
        }

        return hash.ToHashCode();
    }

    /// <summary>All of them, also where nobody was: <c>3 data file images, 0 pauses, ...</c></summary>
    public override string ToString()
        => string.Join(", ", Enum.GetValues<Corner>().Select(corner => string.Create(CultureInfo.InvariantCulture, $"{this[corner]}{InWords(corner)}")));

    internal void Visit(Corner corner) => _counts[(int)corner]++;

    internal CornerCounts Plus(CornerCounts other)
    {
        var sum = new CornerCounts();
        for (int i = 0; i < _counts.Length; i++)
        {
            sum._counts[i] = _counts[i] + other._counts[i];
        }

        return sum;
    }

    // Each word behind a space.
    private static string InWords(Corner corner) => string.Concat($"{corner}".Select(static letter => char.IsUpper(letter) ? $" {char.ToLowerInvariant(letter)}" : $"{letter}"));
}
