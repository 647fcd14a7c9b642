using System.Text.Json;
using BlockLayer.Graph;

namespace BlockLayer.Cli.Commands;

/// <summary>Bitmaps with the names and types of QEMU's <c>Qcow2BitmapInfo</c>.</summary>
internal static class BitmapJson
{
    /// <summary>Writes an array of them.</summary>
    internal static void Write(Utf8JsonWriter json, IEnumerable<ImageBitmap> bitmaps)
    {
        json.WriteStartArray();
        foreach (ImageBitmap bitmap in bitmaps)
        {
            json.WriteStartObject();
            json.WriteStartArray("flags");
            foreach (string flag in Flags(bitmap))
            {
                json.WriteStringValue(flag);
            }

            json.WriteEndArray();
            json.WriteString("name", bitmap.Name);
            json.WriteNumber("granularity", bitmap.Granularity);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>QEMU's names of the flags that are set.</summary>
    internal static IEnumerable<string> Flags(ImageBitmap bitmap)
    {
        if (bitmap.IsInUse)
        {
            yield return "in-use";
        }

        if (bitmap.IsEnabled)
        {
            yield return "auto";
        }
    }
}
