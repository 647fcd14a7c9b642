namespace BlockLayer.Cli.CommandLine;

/// <summary>
/// Takes a command line apart as POSIX and GNU programs do: <c>-cp</c> groups letters, <c>-f raw</c>, <c>-fraw</c>, <c>--format raw</c> and
/// <c>--format=raw</c> give a value, options and operands mix, <c>-10G</c> is an operand because no option is a digit, and <c>--</c> ends the options. Written by hand because it costs no start-up time.
/// </summary>
internal static class ArgumentParser
{
    /// <exception cref="UsageException">An option that does not exist, lacks its value, or has one it does not take.</exception>
    internal static ParsedArguments Parse(ReadOnlySpan<string> arguments, IReadOnlyList<Option> options)
    {
        var parsed = new ParsedArguments();
        for (int i = 0; i < arguments.Length; i++)
        {
            string argument = arguments[i];
            if (argument == "--")
            {
                parsed.Operands.AddRange(arguments[(i + 1)..]);
                break;
            }

            if (argument.StartsWith("--", StringComparison.Ordinal))
            {
                i += ParseLong(argument, arguments[(i + 1)..], options, parsed);
            }
            else if (argument.Length > 1 && argument[0] == '-' && !char.IsAsciiDigit(argument[1]))
            {
                i += ParseLetters(argument, arguments[(i + 1)..], options, parsed);
            }
            else
            {
                parsed.Operands.Add(argument);
            }
        }

        return parsed;
    }

    /// <summary>Returns how many of the following arguments it used.</summary>
    private static int ParseLong(string argument, ReadOnlySpan<string> following, IReadOnlyList<Option> options, ParsedArguments parsed)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? argument[2..] : argument[2..equals];
        Option option = options.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw new UsageException($"there is no option --{name}.");
        if (!option.TakesValue)
        {
            parsed.Add(option, equals < 0 ? null : throw new UsageException($"--{name} takes no value."));
            return 0;
        }

        if (equals >= 0)
        {
            parsed.Add(option, argument[(equals + 1)..]);
            return 0;
        }

        parsed.Add(option, ValueOf(option, $"--{name}", following));
        return 1;
    }

    private static int ParseLetters(string argument, ReadOnlySpan<string> following, IReadOnlyList<Option> options, ParsedArguments parsed)
    {
        for (int i = 1; i < argument.Length; i++)
        {
            char letter = argument[i];
            Option option = options.FirstOrDefault(candidate => candidate.Letter == letter)
                ?? throw new UsageException($"there is no option -{letter}.");
            if (!option.TakesValue)
            {
                parsed.Add(option, value: null);
                continue;
            }

            if (i + 1 < argument.Length)
            {
                parsed.Add(option, argument[(i + 1)..]);
                return 0;
            }

            parsed.Add(option, ValueOf(option, $"-{letter}", following));
            return 1;
        }

        return 0;
    }

    private static string ValueOf(Option option, string spelling, ReadOnlySpan<string> following)
        => following.IsEmpty ? throw new UsageException($"{spelling} needs a value: {option.ValueName}.") : following[0];
}
