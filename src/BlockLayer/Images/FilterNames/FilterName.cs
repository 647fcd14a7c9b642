using System.Text;

namespace BlockLayer.Images;

/// <summary>
/// A name that asks for a filter on top of an image: <c>blkmirror:SOURCE:[FORMAT:]DEST</c>, <c>blkstream:IMAGE</c>, <c>blkverify:REFERENCE:IMAGE</c>,
/// <c>throttle:LIMITS:IMAGE</c>, <c>blkdebug:RULES:IMAGE</c>.
/// </summary>
/// <remarks>
/// <para>Fields are separated by colons; a colon or backslash inside a field is written with a backslash before it. IMAGE may be such a name itself, as it is; so may SOURCE,
/// with its colons escaped. A file whose own name begins like one is reached as <c>./blkstream:...</c>.</para>
/// <para>Only people say such names. What an image records about other files never goes through here.</para>
/// </remarks>
public sealed record FilterName
{
    private static readonly (string Prefix, FilterKind Kind)[] s_prefixes =
    [
        ("blkmirror", FilterKind.Mirror), ("blkstream", FilterKind.Stream), ("blkverify", FilterKind.Verify), ("throttle", FilterKind.Throttle), ("blkdebug", FilterKind.Faults),
    ];

    private FilterName(FilterKind kind, string image)
    {
        Kind = kind;
        Image = image;
    }

    /// <summary>Which filter.</summary>
    public FilterKind Kind { get; }

    /// <summary>What the filter shows: a file, or another such name. For a mirror its source.</summary>
    public string Image { get; }

    /// <summary>The other file: DEST of a mirror, REFERENCE of a comparison; else null.</summary>
    public string? OtherFile { get; private init; }

    /// <summary>The format of a mirror's DEST, where it is said; else null.</summary>
    public string? Format { get; private init; }

    /// <summary>LIMITS or RULES; empty for other filters.</summary>
    public string Settings { get; private init; } = "";

    /// <summary>True when the text begins like such a name.</summary>
    public static bool IsOne(string text) => Array.Exists(s_prefixes, known => text.StartsWith(known.Prefix + ':', StringComparison.Ordinal));

    /// <summary>Takes a name apart; nothing is opened.</summary>
    /// <exception cref="ArgumentException">It asks for no filter, or has too few, too many or empty fields.</exception>
    public static FilterName Parse(string text)
    {
        (string prefix, FilterKind kind) = Array.Find(s_prefixes, known => text.StartsWith(known.Prefix + ':', StringComparison.Ordinal));
        if (prefix is null)
        {
            throw new ArgumentException($"'{text}' asks for no filter; known are {string.Join(", ", s_prefixes.Select(static known => known.Prefix))}.", nameof(text));
        }

        List<string> fields = Split(text[(prefix.Length + 1)..]);
        return kind switch
        {
            FilterKind.Mirror => ParseMirror(text, fields),
            FilterKind.Stream => new FilterName(kind, ImageAt(0)),
            FilterKind.Verify => new FilterName(kind, ImageAt(1)) { OtherFile = Unescape(fields[0]) },
            _ => new FilterName(kind, ImageAt(1)) { Settings = Unescape(fields[0]) },
        };

        // The rest of the text: another name as it is, or the one field that a file's name is.
        string ImageAt(int index)
        {
            string rest = string.Join(':', fields.Skip(index));
            bool isName = IsOne(rest);
            if ((!isName && fields.Count != index + 1) || fields.Take(index + 1).Any(static field => field.Length == 0))
            {
                throw Malformed(text, kind, index == 0 ? "IMAGE" : $"{(kind == FilterKind.Verify ? "REFERENCE" : kind == FilterKind.Throttle ? "LIMITS" : "RULES")}:IMAGE");
            }

            return isName ? rest : Unescape(rest);
        }
    }

    /// <summary>Takes apart what a mirror on top of an open image is told: <c>[blkmirror:][FORMAT:]TARGET</c>.</summary>
    /// <exception cref="ArgumentException">It has too many or empty fields.</exception>
    public static (string? Format, string Target) ParseMirrorTarget(string text)
    {
        const string Prefix = "blkmirror:";
        List<string> fields = Split(text.StartsWith(Prefix, StringComparison.Ordinal) ? text[Prefix.Length..] : text);
        return fields.Count <= 2 && fields.TrueForAll(static field => field.Length > 0)
            ? (fields.Count == 2 ? Unescape(fields[0]) : null, Unescape(fields[^1]))
            : throw Malformed(text, FilterKind.Mirror, "[FORMAT:]TARGET");
    }

    /// <summary>The names of the files in a text, whether it asks for filters or not.</summary>
    public static IEnumerable<string> FilesIn(string text)
    {
        if (!IsOne(text))
        {
            return [text];
        }

        FilterName name = Parse(text);
        return FilesIn(name.Image).Concat(name.OtherFile is { } other ? [other] : []);
    }

    /// <summary>A file's name as a field.</summary>
    public static string Escape(string file) => file.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(":", "\\:", StringComparison.Ordinal);

    private static FilterName ParseMirror(string text, List<string> fields)
        => fields.Count is 2 or 3 && fields.TrueForAll(static field => field.Length > 0)
            ? new FilterName(FilterKind.Mirror, Unescape(fields[0]))
            {
                Format = fields.Count == 3 ? Unescape(fields[1]) : null,
                OtherFile = Unescape(fields[^1]),
            }
            : throw Malformed(text, FilterKind.Mirror, "SOURCE:[FORMAT:]DEST");

    private static ArgumentException Malformed(string text, FilterKind kind, string expected)
    {
        string prefix = Array.Find(s_prefixes, known => known.Kind == kind).Prefix;
        return new ArgumentException($"'{text}' does not read {prefix}:{expected}; a colon or backslash inside a field is written with a backslash before it.");
    }

    // Fields as they stand, escapes included.
    private static List<string> Split(string text)
    {
        var fields = new List<string>();
        var field = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == ':')
            {
                fields.Add(field.ToString());
                field.Clear();
                continue;
            }

            field.Append(text[i]);
            if (text[i] == '\\' && i + 1 < text.Length)
            {
                field.Append(text[++i]);
            }
        }

        fields.Add(field.ToString());
        return fields;
    }

    private static string Unescape(string field)
    {
        var text = new StringBuilder();
        for (int i = 0; i < field.Length; i++)
        {
            text.Append(field[i] == '\\' && i + 1 < field.Length ? field[++i] : field[i]);
        }

        return text.ToString();
    }
}
