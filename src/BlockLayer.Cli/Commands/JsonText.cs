using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace BlockLayer.Cli.Commands;

/// <summary>JSON laid out as qemu-img lays it out.</summary>
internal static class JsonText
{
    private static readonly JsonWriterOptions s_options = new()
    {
        Indented = true,
        IndentSize = 4,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // file names stay readable; nothing here ends up in HTML
    };

    /// <summary>Writes one document.</summary>
    internal static void Write(TextWriter writer, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, s_options))
        {
            write(json);
        }

        writer.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer().AsSpan(0, (int)buffer.Length)));
    }
}
