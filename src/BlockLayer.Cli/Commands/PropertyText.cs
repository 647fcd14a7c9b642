using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;

namespace BlockLayer.Cli.Commands;

/// <summary>The properties of <see cref="ImageDetails"/> as lines, groups indented, as qemu-img shows them.</summary>
internal static class PropertyText
{
    private const int Step = 4;

    /// <summary>Writes a line for each property, or several.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="group">The properties.</param>
    /// <param name="indent">Blanks in front.</param>
    internal static void Write(TextWriter writer, IEnumerable<KeyValuePair<string, object>> group, int indent = Step)
    {
        foreach ((string name, object value) in group)
        {
            string label = new string(' ', indent) + name.Replace('-', ' ');
            switch (value)
            {
                case IReadOnlyList<ImageBitmap> bitmaps:
                    writer.WriteLine($"{label}:");
                    WriteBitmaps(writer, bitmaps, indent + Step);
                    break;
                case IReadOnlyList<KeyValuePair<string, object>> inner:
                    writer.WriteLine($"{label}:");
                    Write(writer, inner, indent + Step);
                    break;
                case IReadOnlyList<IReadOnlyList<KeyValuePair<string, object>>> groups:
                    writer.WriteLine($"{label}:");
                    for (int i = 0; i < groups.Count; i++)
                    {
                        writer.WriteLine($"{new string(' ', indent + Step)}[{i}]:");
                        Write(writer, groups[i], indent + (2 * Step));
                    }

                    break;
                default:
                    writer.WriteLine(PrintableText.Of($"{label}: {(value is bool yes ? (yes ? "true" : "false") : value)}"));
                    break;
            }
        }
    }

    private static void WriteBitmaps(TextWriter writer, IReadOnlyList<ImageBitmap> bitmaps, int indent)
    {
        string blanks = new(' ', indent);
        string inner = new(' ', indent + Step);
        for (int i = 0; i < bitmaps.Count; i++)
        {
            writer.WriteLine($"{blanks}[{i}]:");
            writer.WriteLine($"{inner}flags:");
            int flag = 0;
            foreach (string name in BitmapJson.Flags(bitmaps[i]))
            {
                writer.WriteLine($"{inner}    [{flag++}]: {name}");
            }

            writer.WriteLine(PrintableText.Of($"{inner}name: {bitmaps[i].Name}"));
            writer.WriteLine($"{inner}granularity: {bitmaps[i].Granularity}");
        }
    }
}
