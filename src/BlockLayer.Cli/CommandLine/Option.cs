namespace BlockLayer.Cli.CommandLine;

/// <summary>An option that a command takes.</summary>
/// <param name="Letter">Its short form; null for none.</param>
/// <param name="Name">Its long form.</param>
/// <param name="ValueName">What its value is called in the help; null for an option without a value.</param>
/// <param name="Help">What it does, as a phrase.</param>
internal sealed record Option(char? Letter, string Name, string? ValueName, string Help)
{
    internal bool TakesValue => ValueName is not null;

    /// <summary>The option as a person would write it, for messages.</summary>
    internal string Spelling => Letter is { } letter ? $"-{letter}" : $"--{Name}";

    /// <summary>Both forms, for the help.</summary>
    internal string Synopsis
    {
        get
        {
            string letter = Letter is { } c ? $"-{c}, " : "    ";
            return $"{letter}--{Name}{(ValueName is null ? "" : $" {ValueName}")}";
        }
    }

    internal static Option Flag(char? letter, string name, string help) => new(letter, name, ValueName: null, help);

    internal static Option Value(char? letter, string name, string valueName, string help) => new(letter, name, valueName, help);
}
