using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;

namespace BlockLayer.Cli.Commands;

/// <summary>The value of <c>-f</c>: a format, with options to open the image with behind it: <c>raw,offset=1M,size=512K</c>.</summary>
internal static class FormatOption
{
    /// <summary>These options, with the format that the value names; without a value as they are.</summary>
    /// <exception cref="UsageException">What follows the format is not name=value, or not for this format.</exception>
    internal static ImageOpenOptions WithFormat(this ImageOpenOptions options, string? value)
    {
        int comma = value?.IndexOf(',', StringComparison.Ordinal) ?? -1;
        if (comma < 0)
        {
            return options with { Format = value };
        }

        string format = value![..comma];
        Dictionary<string, string> formatOptions = CreateOptionList.Parse("-f", [value[(comma + 1)..]]);
        try
        {
            CommandContext.Formats.Get(format).WithOpenOptions(formatOptions);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error);
        }

        return options with { Format = format, FormatOptions = formatOptions };
    }
}
