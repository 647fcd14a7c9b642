using System.Text.Json;
using BlockLayer.Graph;

namespace BlockLayer.Cli.Commands;

/// <summary>A check's result with the names of QEMU's <c>ImageCheck</c>; as there, counts of faults are left out when there are none.</summary>
internal static class CheckJson
{
    internal static void Write(TextWriter writer, BlockNode image, ImageCheckReport report, ImageRepairReport? repaired) => JsonText.Write(writer, json =>
    {
        json.WriteStartObject();
        json.WriteNumber("image-end-offset", report.ImageEndOffset);
        WriteUnlessZero(json, "corruptions", report.Corruptions);
        WriteUnlessZero(json, "leaks", report.Leaks);
        json.WriteNumber("check-errors", report.CheckErrors);
        WriteUnlessZero(json, "corruptions-fixed", repaired?.CorruptionsFixed ?? 0);
        WriteUnlessZero(json, "leaks-fixed", repaired?.LeaksFixed ?? 0);
        WriteUnlessZero(json, "total-clusters", report.TotalClusters);
        WriteUnlessZero(json, "allocated-clusters", report.AllocatedClusters);
        WriteUnlessZero(json, "fragmented-clusters", report.FragmentedClusters);
        WriteUnlessZero(json, "compressed-clusters", report.CompressedClusters);
        json.WriteString("filename", image.Path ?? image.NodeName);
        json.WriteString("format", image.DriverName);
        json.WriteEndObject();
    });

    private static void WriteUnlessZero(Utf8JsonWriter json, string name, long value)
    {
        if (value != 0)
        {
            json.WriteNumber(name, value);
        }
    }
}
