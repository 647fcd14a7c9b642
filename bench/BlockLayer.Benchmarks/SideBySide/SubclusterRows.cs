using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Reads of an image with extended L2 entries beside those of one with standard entries, both ours, in one process and in memory: what looking at subclusters adds
/// to a byte. All clusters are allocated, as <c>qemu-img convert</c> leaves them.
/// </summary>
internal static class SubclusterRows
{
    private const long Length = 256 << 20;

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        using var folder = new MemoryFolder(setting);
        string raw = Path.Combine(folder.Path, "source.raw");
        string standard = Path.Combine(folder.Path, "standard.qcow2");
        string extended = Path.Combine(folder.Path, "extended.qcow2");
        await TestData.WriteRandomFileAsync(raw, Length);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, standard);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "extended_l2=on", raw, extended);
        await using Disk ofClusters = await OpenAsync(standard);
        await using Disk ofSubclusters = await OpenAsync(extended);
        foreach ((string name, int request, int total) in new[] { ("4 KiB", 4096, 400_000), ("1 MiB", 1 << 20, 4000) })
        {
            int count = Math.Max(256, (int)(total * setting.Scale));
            (double ours, double peer, double speedup) = await Measure.PairsAsync(
                setting.Rounds,
                () => Measure.TimeAsync(() => ReadAsync(ofSubclusters, request, count)),
                () => Measure.TimeAsync(() => ReadAsync(ofClusters, request, count)));
            yield return new Row($"{name} read, extended L2", Each(ours, count), $"{Each(peer, count)} ours, standard L2", speedup, 1 / 1.2);
        }
    }

    private static async Task ReadAsync(Disk disk, int request, int count)
    {
        byte[] buffer = new byte[request];
        long places = Length / request;
        for (long i = 0, place = 0; i < count; i++, place = (place + 7919) % places)
        {
            await disk.ReadAsync(place * request, buffer);
        }
    }

    private static ValueTask<Disk> OpenAsync(string image) => Disk.OpenAsync(image, new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadOnly });

    private static string Each(double seconds, int count) => string.Create(CultureInfo.InvariantCulture, $"{seconds / count * 1e6:0.00} us");
}
