using System.Text.Json;
using BlockLayer.Primitives;
using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Bitmaps of an image as QEMU sees them: qemu-nbd serves the image with one of them to one reader, qemu-img, and ends; without locks, because it may end late.</summary>
internal static class QemuBitmap
{
    private static int s_sockets;

    /// <summary>What a bitmap shows as written.</summary>
    internal static List<ByteRange> Ranges(TemporaryFolder folder, string image, string name)
    {
        string socket = folder.File($"socket-{Interlocked.Increment(ref s_sockets)}"); // a server that ends late removes its own
        QemuTool.Require("qemu-nbd").RunOk(
            "--fork", "--read-only", "--image-opts", "-B", name, "-k", socket, $"driver=qcow2,file.driver=file,file.locking=off,file.filename={image}");
        string map = QemuTool.Require("qemu-img").RunOk(
            "map", "--output=json", "--image-opts", $"driver=nbd,server.type=unix,server.path={socket},x-dirty-bitmap=qemu:dirty-bitmap:{name.Replace(",", ",,", StringComparison.Ordinal)}");
        using JsonDocument document = JsonDocument.Parse(map);
        List<ByteRange> ranges = [];
        foreach (JsonElement extent in document.RootElement.EnumerateArray().Where(static extent => !extent.GetProperty("data").GetBoolean()))
        {
            ranges.Add(new ByteRange(extent.GetProperty("start").GetInt64(), extent.GetProperty("length").GetInt64()));
        }

        return ranges;
    }

    /// <summary>What qemu-img tells about the bitmaps: name, granularity and flags of each.</summary>
    internal static List<string> List(string image)
    {
        using JsonDocument document = JsonDocument.Parse(QemuTool.Require("qemu-img").RunOk("info", "-U", "--output=json", image));
        return document.RootElement.GetProperty("format-specific").GetProperty("data").TryGetProperty("bitmaps", out JsonElement bitmaps)
            ? [.. bitmaps.EnumerateArray().Select(static bitmap =>
                $"{bitmap.GetProperty("name").GetString()} {bitmap.GetProperty("granularity").GetInt64()} "
                + string.Join(',', bitmap.GetProperty("flags").EnumerateArray().Select(static flag => flag.GetString())))]
            : [];
    }
}
