using System.Globalization;

namespace BlockLayer.TestKit;

/// <summary>
/// How long tests search that have no natural end. The environment variable <c>BLK_EFFORT</c> multiplies the number of seeds and of random cases;
/// without it the whole suite stays within what CI has.
/// </summary>
public static class Effort
{
    private static readonly int s_factor = Read(Environment.GetEnvironmentVariable("BLK_EFFORT"));

    /// <summary>The number of cases to try where CI tries <paramref name="count"/>.</summary>
    public static int Times(int count) => checked(count * s_factor);

    private static int Read(string? text)
        => string.IsNullOrEmpty(text) ? 1
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int factor) && factor > 0 ? factor
            : throw new InvalidOperationException($"BLK_EFFORT is '{text}'; expected is a whole number from 1 on.");
}
