using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary>An inspection for programs; names are spelled as in the other commands' output.</summary>
internal static class InspectJson
{
    internal static void Write(TextWriter writer, ImageInspection inspection) => JsonText.Write(writer, json =>
    {
        json.WriteStartObject();
        json.WriteString("filename", inspection.Path);
        json.WriteString("verdict", InspectCommand.TextOf(inspection.Verdict));
        json.WriteString("format", inspection.Format);
        if (inspection.VirtualSize is { } size)
        {
            json.WriteNumber("virtual-size", size);
        }

        json.WriteNumber("file-length", inspection.FileLength);
        json.WriteNumber("bytes-read", inspection.BytesRead);
        WriteArray(json, "recognised", inspection.Recognised, content =>
        {
            json.WriteString("name", content.Name);
            json.WriteNumber("offset", content.Offset);
            json.WriteString("kind", content.Kind == RecognisedKind.Image ? "image" : "disk-content");
        });
        WriteArray(json, "references", inspection.References, reference =>
        {
            json.WriteString("role", reference.Role == FileReferenceRole.Backing ? "backing" : "data");
            json.WriteString("filename", reference.Name);
            json.WriteString("format", reference.Format);
        });
        WriteArray(json, "reasons", inspection.Reasons, reason => Write(json, reason));
        json.WriteEndObject();
    });

    private static void Write(Utf8JsonWriter json, InspectionReason reason)
    {
        json.WriteString("verdict", InspectCommand.TextOf(reason.Verdict));
        json.WriteString("reading", reason.Reading);
        json.WriteString("field", reason.Field);
        if (reason.Offset is { } offset)
        {
            json.WriteNumber("offset", offset);
        }

        if (reason.Expected is { } expected)
        {
            json.WriteString("expected", expected);
        }

        json.WriteString("message", reason.Message);
    }

    private static void WriteArray<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            json.WriteStartObject();
            write(item);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
