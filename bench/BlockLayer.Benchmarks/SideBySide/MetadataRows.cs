namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Questions about tables: an image of 1 TiB, fully mapped (128 MiB of L2 tables), whole processes on both sides.</summary>
internal static class MetadataRows
{
    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        string image = Path.Combine(setting.Directory, "mapped.qcow2");
        string size = setting.Scale < 1 ? "128G" : "1T";
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", image, size);
        foreach (string command in new[] { "info", "map", "check" })
        {
            (double ours, double peer, double speedup) = await Measure.PairsAsync(
                setting.Rounds,
                () => Blk.RunAsync(command, "-f", "qcow2", image),
                async () => (await Tool.RunAsync("qemu-img", command, "-f", "qcow2", image)).Seconds);
            yield return new Row($"{command}, {size} fully mapped", $"{ours * 1000:0} ms", $"{peer * 1000:0} ms qemu-img", speedup, 1);
        }

        File.Delete(image);
    }
}
