using System.Globalization;
using Xunit.Sdk;

namespace BlockLayer.TestKit;

/// <summary>
/// Runs a test with many seeds. A failure says, in one line to paste, how to run that seed alone: the environment variable <c>BLK_SEED</c> replaces the
/// seeds of every test that is selected.
/// </summary>
public static class Seeds
{
    /// <summary>Runs <paramref name="body"/> with the seeds 1 to <paramref name="count"/>, or with the one in <c>BLK_SEED</c>.</summary>
    /// <param name="test">Class and method as the test runner spells them.</param>
    /// <param name="count">How many, in CI; <see cref="Effort"/> multiplies them.</param>
    /// <param name="body">Throws if the seed fails.</param>
    public static void Check(string test, int count, Action<ulong> body)
    {
        foreach (ulong seed in Chosen(count))
        {
            try
            {
                body(seed);
            }
            catch (Exception error) when (!IsAlone)
            {
                throw Failure(test, seed, error);
            }
        }
    }

    /// <inheritdoc cref="Check"/>
    public static async Task CheckAsync(string test, int count, Func<ulong, Task> body)
    {
        foreach (ulong seed in Chosen(count))
        {
            try
            {
                await body(seed).ConfigureAwait(false);
            }
            catch (Exception error) when (!IsAlone)
            {
                throw Failure(test, seed, error);
            }
        }
    }

    private static bool IsAlone => Environment.GetEnvironmentVariable("BLK_SEED") is { Length: > 0 };

    private static IEnumerable<ulong> Chosen(int count)
        => Environment.GetEnvironmentVariable("BLK_SEED") is { Length: > 0 } chosen
            ? [ulong.Parse(chosen, CultureInfo.InvariantCulture)]
            : Enumerable.Range(1, Effort.Times(count)).Select(static seed => (ulong)seed);

    private static XunitException Failure(string test, ulong seed, Exception error)
        => new($"BLK_SEED={seed} bash tests/run.sh -method '*{test}'   fails with: {error.Message}", error);
}
