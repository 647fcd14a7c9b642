using System.Globalization;
using System.Text;

namespace BlockLayer.Cli.Terminal;

/// <summary>Makes text that comes from an image fit for a terminal: whoever made the image could send control sequences otherwise.</summary>
internal static class PrintableText
{
    /// <summary>The text with everything that is not to be seen, line breaks and changes of direction included, written as <c>\x1b</c> or <c>\u202e</c>.</summary>
    internal static string Of(string text)
    {
        if (!text.Any(IsHidden))
        {
            return text;
        }

        var printable = new StringBuilder(text.Length + 16);
        foreach (char c in text)
        {
            if (IsHidden(c))
            {
                printable.Append(CultureInfo.InvariantCulture, $"{(c < 256 ? $"\\x{(int)c:x2}" : $"\\u{(int)c:x4}")}");
            }
            else
            {
                printable.Append(c);
            }
        }

        return printable.ToString();
    }

    private static bool IsHidden(char c)
        => char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
}
