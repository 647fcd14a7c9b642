using BlockLayer.Primitives;

namespace BlockLayer.Cli.CommandLine;

/// <summary>A command line taken apart: which options were given with which values, and what is left.</summary>
internal sealed class ParsedArguments
{
    private readonly List<Given> _given = [];

    /// <summary>What is not an option, in order.</summary>
    internal List<string> Operands { get; } = [];

    internal bool Has(Option option) => _given.Exists(given => given.Option == option);

    /// <summary>The value of an option, the last one where it was repeated; null if it was not given.</summary>
    internal string? Get(Option option) => _given.FindLast(given => given.Option == option)?.Value;

    /// <summary>All values of an option that may be repeated.</summary>
    internal IEnumerable<string> GetAll(Option option) => _given.Where(given => given.Option == option).Select(given => given.Value!);

    /// <summary>The value of an option as a size in bytes; null if it was not given.</summary>
    /// <exception cref="UsageException">The value is no size.</exception>
    internal long? GetSize(Option option) => Get(option) is { } text ? ParseSize(text, option.Spelling) : null;

    /// <summary>The value of an option as a number from <paramref name="minimum"/> to <paramref name="maximum"/>; null if it was not given.</summary>
    /// <exception cref="UsageException">The value is no such number.</exception>
    internal int? GetNumber(Option option, int minimum, int maximum)
    {
        if (Get(option) is not { } text)
        {
            return null;
        }

        return int.TryParse(text, out int number) && number >= minimum && number <= maximum
            ? number
            : throw new UsageException($"{option.Spelling} takes a number from {minimum} to {maximum}, not '{text}'.");
    }

    /// <summary>The value of an option that takes one of a few words; the first of them if it was not given.</summary>
    /// <exception cref="UsageException">The value is none of them.</exception>
    internal string GetChoice(Option option, params string[] choices)
    {
        string text = Get(option) ?? choices[0];
        return choices.Contains(text) ? text : throw new UsageException($"{option.Spelling} takes {string.Join(" or ", choices)}, not '{text}'.");
    }

    /// <summary>A size as people write it.</summary>
    /// <exception cref="UsageException">The text is no size.</exception>
    internal static long ParseSize(string text, string what)
        => ByteSize.TryParse(text, out long bytes)
            ? bytes
            : throw new UsageException($"{what}: '{text}' is no size; write bytes or a number with K, M, G, T, P or E (powers of 1024), such as 64K or 1.5G.");

    internal void Add(Option option, string? value) => _given.Add(new Given(option, value));

    private sealed record Given(Option Option, string? Value);
}
