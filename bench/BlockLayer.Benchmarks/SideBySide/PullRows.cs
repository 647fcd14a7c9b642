using System.Globalization;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Pulling a backing file up into its overlay: our whole process, with every flush that makes it durable, against the block-stream job of
/// qemu-storage-daemon, timed from its command to its completion event (which it sends before anything is flushed).
/// </summary>
internal static class PullRows
{
    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        long length = (long)((1L << 30) * Math.Max(0.25, setting.Scale));
        using (var memory = new MemoryFolder(setting))
        {
            yield return await AgainstDaemonAsync(setting, memory.Path, length);
        }

        yield return await AgainstCopyAsync(setting, length);
    }

    private static async Task<Row> AgainstDaemonAsync(Setting setting, string directory, long length)
    {
        string basis = Path.Combine(directory, "base.raw");
        string overlay = Path.Combine(directory, "overlay.qcow2");
        await TestData.WriteRandomFileAsync(basis, length);
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                await CreateOverlayAsync(overlay, basis);
                return await Blk.RunAsync("pull", overlay);
            },
            async () =>
            {
                await CreateOverlayAsync(overlay, basis);
                return await StorageDaemon.StreamAsync(overlay);
            });
        return new Row(
            "pull of a raw base, tmpfs",
            ConvertRows.Rate(length, ours),
            $"{ConvertRows.Rate(length, peer)} qemu-storage-daemon",
            speedup,
            3);
    }

    private static async Task<Row> AgainstCopyAsync(Setting setting, long length)
    {
        string basis = Path.Combine(setting.Directory, "base.raw");
        string overlay = Path.Combine(setting.Directory, "overlay.qcow2");
        string copy = Path.Combine(setting.Directory, "copy.raw");
        await TestData.WriteRandomFileAsync(basis, length);
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                await CreateOverlayAsync(overlay, basis);
                await TestData.DropFromCacheAsync(basis);
                return await Blk.RunAsync("pull", overlay);
            },
            async () =>
            {
                File.Delete(copy);
                await TestData.DropFromCacheAsync(basis);
                return (await Tool.RunAsync("dd", $"if={basis}", $"of={copy}", "bs=1M", "conv=fsync", "status=none")).Seconds;
            });
        File.Delete(basis);
        File.Delete(overlay);
        File.Delete(copy);
        return new Row(
            "pull of a raw base, disk, cold",
            ConvertRows.Rate(length, ours),
            string.Create(CultureInfo.InvariantCulture, $"{ConvertRows.Rate(length, peer)} dd bs=1M conv=fsync"),
            speedup,
            0.95);
    }

    private static async Task CreateOverlayAsync(string overlay, string basis)
    {
        File.Delete(overlay);
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", basis, overlay);
    }
}
