using System.Text.Json;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary>Image descriptions with the names and types of QEMU's <c>ImageInfo</c>, so that what reads qemu-img's output reads ours.</summary>
internal static class InfoJson
{
    /// <summary>Writes one object, or an array of them for a chain.</summary>
    internal static void Write(TextWriter writer, IReadOnlyList<ImageInfo> images, bool asArray)
    {
        JsonText.Write(writer, json =>
        {
            if (asArray)
            {
                json.WriteStartArray();
            }

            foreach (ImageInfo image in images)
            {
                Write(json, image);
            }

            if (asArray)
            {
                json.WriteEndArray();
            }
        });
    }

    private static void Write(Utf8JsonWriter json, ImageInfo image)
    {
        json.WriteStartObject();
        if (image.Snapshots.Count > 0)
        {
            json.WritePropertyName("snapshots");
            SnapshotText.WriteJson(json, image.Snapshots);
        }

        json.WriteNumber("virtual-size", image.VirtualSize);
        json.WriteString("filename", image.Path);
        if (image.ClusterSize > 0)
        {
            json.WriteNumber("cluster-size", image.ClusterSize);
        }

        json.WriteString("format", image.Format);
        if (image.Details.IsEncrypted)
        {
            json.WriteBoolean("encrypted", true);
        }

        if (image.DiskSize is { } diskSize)
        {
            json.WriteNumber("actual-size", diskSize);
        }

        if (image.Details.Properties.Count > 0)
        {
            WriteDetails(json, image);
        }

        if (image.Backing is { } backing)
        {
            json.WriteString("backing-filename", backing.Name);
            json.WriteString("full-backing-filename", image.BackingPath ?? backing.Name);
            if (backing.Format is { } format)
            {
                json.WriteString("backing-filename-format", format);
            }
        }

        json.WriteBoolean("dirty-flag", image.Details.IsDirty);
        if (image.Details.Damage.Count > 0)
        {
            json.WriteStartArray("damage");
            foreach (string damage in image.Details.Damage)
            {
                json.WriteStringValue(damage);
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void WriteDetails(Utf8JsonWriter json, ImageInfo image)
    {
        json.WriteStartObject("format-specific");
        json.WriteString("type", image.Format);
        json.WritePropertyName("data");
        PropertyJson.Write(json, image.Details.Properties);
        json.WriteEndObject();
    }
}
