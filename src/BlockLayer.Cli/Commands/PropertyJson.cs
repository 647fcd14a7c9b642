using System.Globalization;
using System.Text.Json;
using BlockLayer.Graph;

namespace BlockLayer.Cli.Commands;

/// <summary>The properties of <see cref="ImageDetails"/> as JSON, group by group.</summary>
internal static class PropertyJson
{
    /// <summary>Writes an object.</summary>
    internal static void Write(Utf8JsonWriter json, IEnumerable<KeyValuePair<string, object>> group)
    {
        json.WriteStartObject();
        foreach ((string name, object value) in group)
        {
            json.WritePropertyName(name);
            Write(json, value);
        }

        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, object value)
    {
        switch (value)
        {
            case bool yes:
                json.WriteBooleanValue(yes);
                break;
            case string text:
                json.WriteStringValue(text);
                break;
            case IReadOnlyList<ImageBitmap> bitmaps:
                BitmapJson.Write(json, bitmaps);
                break;
            case IReadOnlyList<KeyValuePair<string, object>> group:
                Write(json, group);
                break;
            case IReadOnlyList<IReadOnlyList<KeyValuePair<string, object>>> groups:
                json.WriteStartArray();
                foreach (IReadOnlyList<KeyValuePair<string, object>> group in groups)
                {
                    Write(json, group);
                }

                json.WriteEndArray();
                break;
            default:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
        }
    }
}
