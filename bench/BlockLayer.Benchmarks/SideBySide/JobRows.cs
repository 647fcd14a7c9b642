using System.Globalization;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// Jobs in this process, with every flush that makes them durable, against the same jobs of qemu-storage-daemon over the same files: throughput without guests, and what a guest's
/// requests on allocated clusters take while ours goes on, against what they take without a job.
/// </summary>
internal static class JobRows
{
    private const int RequestSize = 4096;
    private const long GuestLength = 16 << 20; // written by the guest before it is timed
    private const int GuestRequests = 20_000;  // timed, at most
    private const int WarmUps = 4;             // after so many runs of a job its code is compiled for good, as it is in a process that stays

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        using var folder = new MemoryFolder(setting);
        var cases = new JobCases(folder.Path);
        long length = (long)((1L << 30) * Math.Max(0.0625, setting.Scale));
        await cases.CreateAsync(length);
        yield return await CeilingAsync(setting, cases, length);
        foreach (JobCase job in cases.All)
        {
            await WarmUpAsync(job);
            (double ours, double peer, double speedup) = await Measure.PairsAsync(setting.Rounds, job.OursAsync, job.PeersAsync);
            yield return new Row($"{job.Name}, tmpfs", ConvertRows.Rate(length, ours), $"{ConvertRows.Rate(length, peer)} qemu-storage-daemon", speedup, job.Target);
        }

        foreach (JobCase job in cases.All)
        {
            (double busy, double idle, double ratio) = await Measure.PairsAsync(
                setting.Rounds, () => Percentile99Async(job, isBusy: true), () => Percentile99Async(job, isBusy: false));
            yield return new Row($"guest's p99 under a {job.Name}, tmpfs", Microseconds(busy), $"{Microseconds(idle)} without a job", ratio, Target: null);
        }
    }

    // What the machine lets two threads copy from file to file, and no format can exceed: the row to hold the stream's against.
    private static async Task<Row> CeilingAsync(Setting setting, JobCases cases, long length)
    {
        JobCase stream = cases.All.First();
        (double plain, double peer, double speedup) = await Measure.PairsAsync(
            setting.Rounds, () => Task.FromResult(PlainCopy.Time(cases.Base, cases.Copy)), stream.PeersAsync);
        return new Row("plain copy by two threads, tmpfs", ConvertRows.Rate(length, plain), $"{ConvertRows.Rate(length, peer)} qemu-storage-daemon, stream", speedup, Target: null);
    }

    private static async Task WarmUpAsync(JobCase job)
    {
        for (int i = 0; i < WarmUps; i++)
        {
            await job.OursAsync();
        }
    }

    private static string Microseconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:0.0} us");

    // Seconds.
    private static async Task<double> Percentile99Async(JobCase job, bool isBusy)
    {
        await job.PrepareAsync();
        await using Disk disk = await Disk.OpenAsync(job.Image, new DiskOptions { Format = "qcow2" });
        for (long at = 0; at < GuestLength; at += 1 << 20)
        {
            await disk.WriteAsync(at, new byte[1 << 20]);
        }

        await disk.FlushAsync();
        BlockJob? running = isBusy ? await job.StartAsync(disk) : null;
        Task end = running is null ? Task.CompletedTask : JobCase.EndAsync(running);
        var random = new Random(1);
        byte[] buffer = new byte[RequestSize];
        var latencies = new List<double>(GuestRequests);
        for (int i = 0; i < GuestRequests && !(isBusy && end.IsCompleted); i++)
        {
            long at = random.NextInt64(GuestLength / RequestSize) * RequestSize;
            bool writes = random.Next(3) == 0;
            latencies.Add(await Measure.TimeAsync(async () => await (writes ? disk.WriteAsync(at, buffer) : disk.ReadAsync(at, buffer))));
        }

        await end;
        latencies.Sort();
        return latencies[(int)(latencies.Count * 0.99)];
    }
}
