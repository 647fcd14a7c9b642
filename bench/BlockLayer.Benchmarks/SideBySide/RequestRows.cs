using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// 4 KiB requests on a qcow2 image of 8 GiB whose clusters are all mapped: offsets step by 1 MiB + 4 KiB as <c>qemu-img bench -S</c> does, so that
/// both sides touch the same clusters in the same order.
/// </summary>
internal static class RequestRows
{
    private const long ImageLength = 8L << 30;
    private const int RequestLength = 4096;
    private const long Step = (1 << 20) + 4096;

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        string image = Path.Combine(setting.Directory, "requests.qcow2");
        string raw = Path.Combine(setting.Directory, "requests.raw");
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", image, "8G");
        await using (FileStream file = File.Create(raw))
        {
            file.SetLength(ImageLength);
        }

        int count = (int)(200_000 * setting.Scale);
        yield return await AgainstRandomAccessAsync(setting, image, raw, count * 2);
        yield return await AgainstQemuAsync(setting, image, "4 KiB read, depth 1", count, depth: 1, write: false, target: 5, flags: []);
        yield return await AgainstQemuAsync(setting, image, "4 KiB overwrite, depth 1", count, depth: 1, write: true, target: 5, flags: []);
        foreach (string engine in new[] { "threads", "io_uring" })
        {
            string[] flags = ["-i", engine];
            yield return await AgainstQemuAsync(setting, image, $"4 KiB read, depth 64 ({engine})", count, depth: 64, write: false, target: 1, flags);
            yield return await AgainstQemuAsync(setting, image, $"4 KiB overwrite, depth 64 ({engine})", count, depth: 64, write: true, target: 1, flags);
        }

        yield return await TwoThreadsAsync(setting, image, count * 2);
        File.Delete(image);
        File.Delete(raw);
        yield return await ColdAsync(setting);
    }

    private static async Task<Row> AgainstRandomAccessAsync(Setting setting, string image, string raw, int count)
    {
        await using Disk disk = await OpenAsync(image, NodeAccess.ReadOnly);
        using var handle = File.OpenHandle(raw);
        for (int i = 0; i < 60; i++)
        {
            await RequestsAsync(disk, 2000, first: 0, write: false); // past the tiers of the JIT, so that code is measured and not compiled
        }

        long allocated = 0;
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                double seconds = await Measure.TimeAsync(() => RequestsAsync(disk, count, first: 0, write: false));
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                return seconds;
            },
            () => Measure.TimeAsync(() =>
            {
                byte[] buffer = new byte[RequestLength];
                long offset = 0;
                for (int i = 0; i < count; i++)
                {
                    RandomAccess.Read(handle, buffer, offset);
                    offset = (offset + Step) % (ImageLength - RequestLength);
                }

                return Task.CompletedTask;
            }));
        string perRequest = string.Create(CultureInfo.InvariantCulture, $"{Each(ours, count)}, {allocated / count} B allocated");
        return new Row("4 KiB read, depth 1, warm", perRequest, $"{Each(peer, count)} RandomAccess.Read of a raw file", speedup, 1 / 1.3);
    }

    private static async Task<Row> AgainstQemuAsync(
        Setting setting,
        string image,
        string work,
        int count,
        int depth,
        bool write,
        double target,
        string[] flags)
    {
        string[] arguments = ["-f", "qcow2", "-c", $"{count}", "-d", $"{depth}", "-s", $"{RequestLength}", "-S", $"{Step}", .. flags, .. write ? ["-w"] : Array.Empty<string>(), image];
        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                await using Disk disk = await OpenAsync(image, write ? NodeAccess.ReadWrite : NodeAccess.ReadOnly);
                return await Measure.TimeAsync(() => AtDepthAsync(disk, count, depth, write));
            },
            () => Tool.QemuBenchAsync(arguments));
        return new Row(work, Each(ours, count), $"{Each(peer, count)} qemu-img bench", speedup, target);
    }

    private static async Task<Row> TwoThreadsAsync(Setting setting, string image, int count)
    {
        await using Disk disk = await OpenAsync(image, NodeAccess.ReadOnly);
        (double two, double one, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            () => Measure.TimeAsync(() => Task.WhenAll(
                Task.Factory.StartNew(() => RequestsAsync(disk, count, 0, write: false), TaskCreationOptions.LongRunning).Unwrap(),
                Task.Factory.StartNew(() => RequestsAsync(disk, count, ImageLength / 2, write: false), TaskCreationOptions.LongRunning).Unwrap())),
            async () => 2 * await Measure.TimeAsync(() => RequestsAsync(disk, count, 0, write: false)));
        return new Row("4 KiB read, 2 threads", Each(two, 2 * count), $"{Each(one, 2 * count)} ours, 1 thread", speedup, 1.6);
    }

    /// <summary>Data that is not in the page cache; the peer bypasses it (<c>-t none</c>) with the best engine it has.</summary>
    private static async Task<Row> ColdAsync(Setting setting)
    {
        string source = Path.Combine(setting.Directory, "cold.raw");
        string image = Path.Combine(setting.Directory, "cold.qcow2");
        await TestData.WriteRandomFileAsync(source, (long)(ImageLength / 4 * Math.Max(0.25, setting.Scale)));
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, image);
        File.Delete(source);
        long length = new FileInfo(image).Length;
        int count = (int)Math.Min(length / Step * 4, 8000);
        double best = double.MaxValue;
        string engine = string.Empty;
        foreach (string candidate in new[] { "native", "io_uring", "threads" })
        {
            double seconds = await Tool.QemuBenchAsync("-t", "none", "-i", candidate, "-f", "qcow2", "-c", $"{count}", "-d", "64", "-s", $"{RequestLength}", "-S", $"{Step}", image);
            if (seconds < best)
            {
                (best, engine) = (seconds, candidate);
            }
        }

        (double ours, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            async () =>
            {
                await TestData.DropFromCacheAsync(image);
                await using Disk disk = await OpenAsync(image, NodeAccess.ReadOnly);
                return await Measure.TimeAsync(() => AtDepthAsync(disk, count, 64, write: false));
            },
            () => Tool.QemuBenchAsync("-t", "none", "-i", engine, "-f", "qcow2", "-c", $"{count}", "-d", "64", "-s", $"{RequestLength}", "-S", $"{Step}", image));
        File.Delete(image);
        return new Row("4 KiB read, depth 64, cold cache", Each(ours, count), $"{Each(peer, count)} qemu-img bench -t none -i {engine}", speedup, 0.9);
    }

    private static ValueTask<Disk> OpenAsync(string image, NodeAccess access)
        => Disk.OpenAsync(image, new DiskOptions { Format = "qcow2", Access = access });

    // `depth` requests are kept in flight; they share the sequence of offsets as the peer's do.
    private static async Task AtDepthAsync(Disk disk, int count, int depth, bool write)
    {
        if (depth == 1)
        {
            await RequestsAsync(disk, count, 0, write);
            return;
        }

        long next = 0;
        int left = count;
        long modulus = disk.Length - RequestLength;
        await Task.WhenAll(Enumerable.Range(0, depth).Select(_ => OneInFlightAsync()));

        async Task OneInFlightAsync()
        {
            byte[] buffer = new byte[RequestLength];
            while (Interlocked.Decrement(ref left) >= 0)
            {
                long offset = (Interlocked.Add(ref next, Step) - Step) % modulus;
                if (write)
                {
                    await disk.WriteAsync(offset, buffer);
                }
                else
                {
                    await disk.ReadAsync(offset, buffer);
                }
            }
        }
    }

    private static async Task RequestsAsync(Disk disk, int count, long first, bool write)
    {
        byte[] buffer = new byte[RequestLength];
        long offset = first;
        for (int i = 0; i < count; i++)
        {
            if (write)
            {
                await disk.WriteAsync(offset, buffer);
            }
            else
            {
                await disk.ReadAsync(offset, buffer);
            }

            offset = (offset + Step) % (ImageLength - RequestLength);
        }
    }

    private static string Each(double seconds, int count)
        => string.Create(CultureInfo.InvariantCulture, $"{seconds / count * 1e6:0.00} us");
}
