using System.Globalization;
using System.Text;

namespace BlockLayer.Simulation;

/// <summary>
/// A post-crash state as one line that can be pasted back: <c>crash 3 lost=0,2-4 torn=5:first3,7:mask0x2</c>. The number is the image's, the others are
/// positions among its pending operations; what is not named survived whole.
/// </summary>
internal static class CrashLine
{
    private const string Word = "crash";
    private const string Lost = "lost=";
    private const string Torn = "torn=";

    internal static string Write(int image, IReadOnlyList<SectorPattern?> fates)
    {
        var line = new StringBuilder();
        line.Append(CultureInfo.InvariantCulture, $"{Word} {image}");
        string separator = " " + Lost;
        for (int first = 0; first < fates.Count; first++)
        {
            if (fates[first] is not null)
            {
                continue;
            }

            int last = first;
            while (last + 1 < fates.Count && fates[last + 1] is null)
            {
                last++;
            }

            line.Append(separator).Append(first);
            if (last > first)
            {
                line.Append('-').Append(last);
            }

            separator = ",";
            first = last;
        }

        separator = " " + Torn;
        for (int i = 0; i < fates.Count; i++)
        {
            if (fates[i] is { IsAll: false } pattern)
            {
                line.Append(CultureInfo.InvariantCulture, $"{separator}{i}:{pattern}");
                separator = ",";
            }
        }

        return line.ToString();
    }

    /// <summary>The number of the image that a line names.</summary>
    internal static int ReadImageNumber(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length >= 2 && words[0] == Word && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw NotALine(line);
    }

    /// <summary>The fates that a line names, for an image with <paramref name="count"/> pending operations.</summary>
    internal static SectorPattern?[] ReadFates(string line, int count)
    {
        var fates = new SectorPattern?[count];
        Array.Fill(fates, SectorPattern.All);
        foreach (string word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(2))
        {
            if (word.StartsWith(Lost, StringComparison.Ordinal))
            {
                foreach (string part in word[Lost.Length..].Split(','))
                {
                    int dash = part.IndexOf('-', StringComparison.Ordinal);
                    int first = ReadPosition(dash < 0 ? part : part[..dash], count, line);
                    int last = dash < 0 ? first : ReadPosition(part[(dash + 1)..], count, line);
                    Array.Fill(fates, null, first, last - first + 1);
                }
            }
            else if (word.StartsWith(Torn, StringComparison.Ordinal))
            {
                foreach (string part in word[Torn.Length..].Split(','))
                {
                    int colon = part.IndexOf(':', StringComparison.Ordinal);
                    if (colon < 0 || !SectorPattern.TryParse(part.AsSpan(colon + 1), out SectorPattern pattern))
                    {
                        throw NotALine(line);
                    }

                    fates[ReadPosition(part[..colon], count, line)] = pattern;
                }
            }
            else
            {
                throw NotALine(line);
            }
        }

        return fates;
    }

    private static int ReadPosition(string text, int count, string line)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int position) && position < count ? position : throw NotALine(line);

    private static FormatException NotALine(string line)
        => new($"\"{line}\" names no state of this run; a line looks like \"crash 3 lost=0,2-4 torn=5:first3\".");
}
