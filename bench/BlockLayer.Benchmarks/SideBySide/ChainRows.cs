namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Offline work on a backing chain, whole processes on both sides, in memory where there is a tmpfs: our commands flush what they wrote. Each round begins with a copy of the
/// images, which is not measured.
/// </summary>
internal static class ChainRows
{
    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        using var folder = new MemoryFolder(setting);
        long length = (long)((1L << 30) * Math.Max(0.25, setting.Scale));
        string basis = Path.Combine(folder.Path, "base.raw");
        string other = Path.Combine(folder.Path, "other.raw");
        string full = Path.Combine(folder.Path, "full.qcow2");
        string empty = Path.Combine(folder.Path, "empty.qcow2");
        await TestData.WriteRandomFileAsync(basis, length);
        await TestData.WriteMixedFileAsync(other, length);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", other, full);
        await Tool.RunAsync("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "base.raw", "-F", "raw", full);
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", empty);

        yield return await CompareAsync(setting, folder, "commit into a raw base, tmpfs", full, length, ["commit"], ["-f", "qcow2"]);
        await TestData.WriteRandomFileAsync(basis, length);
        yield return await CompareAsync(setting, folder, "rebase onto another base, tmpfs", empty, length, ["rebase"], ["-f", "qcow2", "-b", "other.raw", "-F", "raw"]);
        File.Copy(basis, other, overwrite: true);
        yield return await CompareAsync(setting, folder, "rebase onto an equal base, tmpfs", empty, length, ["rebase"], ["-f", "qcow2", "-b", "other.raw", "-F", "raw"]);
    }

    private static async Task<Row> CompareAsync(Setting setting, MemoryFolder folder, string work, string image, long length, string[] command, string[] arguments)
    {
        string target = Path.Combine(folder.Path, "image.qcow2");
        string[] force = command[0] == "commit" ? ["--force"] : []; // the copies in the folder stand on the same base
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                File.Copy(image, target, overwrite: true);
                return await Blk.RunAsync([.. command, .. force, .. arguments, target]);
            },
            async () =>
            {
                File.Copy(image, target, overwrite: true);
                return (await Tool.RunAsync("qemu-img", [.. command, .. arguments, target])).Seconds;
            });
        File.Delete(target);
        return new Row(work, ConvertRows.Rate(length, ours), $"{ConvertRows.Rate(length, peer)} qemu-img", speedup, 1.2);
    }
}
