using System.Globalization;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Conversions between all pairs of formats, whole processes on both sides, in memory where there is a tmpfs: our command flushes what it wrote and
/// qemu-img does not, and there a flush costs nobody anything.
/// </summary>
internal static class ConvertRows
{
    private static readonly string[] s_formats = ["raw", "qcow2", "qed"];

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        using var folder = new MemoryFolder(setting);
        setting = setting with { Directory = folder.Path };
        long length = (long)((1L << 30) * Math.Max(0.25, setting.Scale));
        string raw = Path.Combine(setting.Directory, "source.raw");
        await TestData.WriteMixedFileAsync(raw, length);
        foreach (string from in s_formats)
        {
            string source = Path.Combine(setting.Directory, $"source.{from}");
            if (from != "raw")
            {
                await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", from, raw, source);
            }

            foreach (string to in s_formats.Where(to => to != from))
            {
                yield return await ConvertAsync(setting, $"convert {from} to {to}", source, length, ["-f", from, "-O", to], target: 1.2);
            }
        }

        yield return await ConvertAsync(setting, "convert -c raw to qcow2 (zlib)", raw, length, ["-c", "-f", "raw", "-O", "qcow2"], target: 4);
        string compressed = Path.Combine(setting.Directory, "compressed.qcow2");
        await Tool.RunAsync("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, compressed);
        yield return await ConvertAsync(setting, "convert compressed qcow2 to raw", compressed, length, ["-f", "qcow2", "-O", "raw"], target: 1.5);
        string ours = Path.Combine(setting.Directory, "ours.qcow2");
        await Blk.RunAsync("convert", "-c", "-f", "raw", "-O", "qcow2", raw, ours);
        double size = new FileInfo(ours).Length / (double)new FileInfo(compressed).Length;
        yield return new Row(
            "size of convert -c's output",
            string.Create(CultureInfo.InvariantCulture, $"{new FileInfo(ours).Length >> 20} MiB"),
            string.Create(CultureInfo.InvariantCulture, $"{new FileInfo(compressed).Length >> 20} MiB qemu-img"),
            1 / size,
            1 / 1.05);
    }

    private static async Task<Row> ConvertAsync(Setting setting, string work, string source, long length, string[] arguments, double target)
    {
        string result = Path.Combine(setting.Directory, "target");
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                File.Delete(result);
                return await Blk.RunAsync(["convert", .. arguments, source, result]);
            },
            async () =>
            {
                File.Delete(result);
                return (await Tool.RunAsync("qemu-img", ["convert", .. arguments, source, result])).Seconds;
            });
        File.Delete(result);
        return new Row(work, Rate(length, ours), $"{Rate(length, peer)} qemu-img", speedup, target);
    }

    internal static string Rate(long bytes, double seconds)
        => string.Create(CultureInfo.InvariantCulture, $"{bytes / seconds / (1 << 20):0} MiB/s");
}
