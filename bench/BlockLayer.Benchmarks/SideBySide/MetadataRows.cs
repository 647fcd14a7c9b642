using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Questions about tables, whole processes on both sides: an image of 1 TiB, once fully mapped (128 MiB of L2 tables), once with 1 GiB of clusters scattered over it
/// (one in each 64 MiB, so that all tables exist and are nearly empty).
/// </summary>
internal static class MetadataRows
{
    private const int ClusterLength = 64 << 10;
    private const long Stride = 64L << 20;

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        string image = Path.Combine(setting.Directory, "metadata.qcow2");
        string size = setting.Scale < 1 ? "128G" : "1T";
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", image, size);
        foreach (string command in new[] { "info", "map", "check" })
        {
            yield return await TimeAsync(setting, command, image, $"{size} fully mapped");
        }

        File.Delete(image);
        await WriteScatteredAsync(image, size);
        foreach (string command in new[] { "map", "check" })
        {
            yield return await TimeAsync(setting, command, image, $"{size} scattered");
            yield return await MemoryAsync(command, image, $"{size} scattered");
        }

        File.Delete(image);
    }

    private static async Task<Row> TimeAsync(Setting setting, string command, string image, string what)
    {
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            () => Blk.RunAsync(command, "-f", "qcow2", image),
            async () => (await Tool.RunAsync("qemu-img", command, "-f", "qcow2", image)).Seconds);
        return new Row($"{command}, {what}", $"{ours * 1000:0} ms", $"{peer * 1000:0} ms qemu-img", speedup, 1);
    }

    /// <summary>Peak memory. The runtime's floor, which is not the work's, is what the same command takes for an empty image.</summary>
    private static async Task<Row> MemoryAsync(string command, string image, string what)
    {
        string empty = Path.ChangeExtension(image, "empty");
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", empty, "1M");
        long floor = await Blk.PeakMemoryAsync(command, "-f", "qcow2", empty);
        long ours = await Blk.PeakMemoryAsync(command, "-f", "qcow2", image);
        long peer = await Tool.PeakMemoryAsync("qemu-img", command, "-f", "qcow2", image);
        return new Row($"memory of {command}, {what}", $"{Mega(ours)} MiB, {Mega(floor)} of it the runtime", $"{Mega(peer)} MiB qemu-img, and the runtime", (double)(peer + floor) / ours, 1);
    }

    private static async Task WriteScatteredAsync(string image, string size)
    {
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", image, size);
        await using Disk disk = await Disk.OpenAsync(image, new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });
        byte[] cluster = new byte[ClusterLength];
        cluster.AsSpan().Fill(0x5a);
        for (long at = 0; at < disk.Length; at += Stride)
        {
            await disk.WriteAsync(at, cluster);
        }

        await disk.FlushAsync();
    }

    private static long Mega(long bytes) => bytes >> 20;
}
