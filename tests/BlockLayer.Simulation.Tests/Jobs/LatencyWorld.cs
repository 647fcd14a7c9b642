using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// A disk in virtual time on a device that takes 100 microseconds a request and moves 500 MB/s: an overlay, its start written, over a full raw base, or with another full overlay
/// between the two; and a guest whose requests are timed, while a job goes on or none does.
/// </summary>
internal sealed class LatencyWorld
{
    internal const long DiskLength = 192L << 20;
    internal const long AllocatedLength = 16L << 20;

    private const double FixedMicroseconds = 100;
    private const double BytesPerMicrosecond = 500;

    private LatencyWorld(SimulationScheduler scheduler, Disk disk) => (Scheduler, Disk) = (scheduler, disk);

    internal SimulationScheduler Scheduler { get; }

    internal Disk Disk { get; }

    /// <summary>What one request takes on an idle device, in microseconds.</summary>
    internal static double RequestTime(long bytes) => FixedMicroseconds + (bytes / BytesPerMicrosecond);

    internal static LatencyWorld Create(ulong seed, bool hasMiddle = false)
    {
        var scheduler = new SimulationScheduler(seed);
        return new LatencyWorld(scheduler, scheduler.Run(() => PrepareAsync(scheduler, hasMiddle)));
    }

    /// <summary>The 99th percentile of a guest's random 4 KiB requests, in microseconds, while a job goes on all the time.</summary>
    /// <param name="start">Starts the job; null: none.</param>
    /// <param name="guest">What the guest does.</param>
    internal double Percentile99(Func<Disk, Task<BlockJob>>? start, LatencyGuest guest)
    {
        var latencies = new List<double>();
        Scheduler.Run(async () =>
        {
            BlockJob? job = start is null ? null : await start(Disk);
            SeededRandom random = Scheduler.CreateRandom(1);
            byte[] buffer = new byte[4096];
            for (int i = 0; i < 2000 && job?.State is null or JobState.Running; i++)
            {
                long at = random.NextInt64(guest.Length / 4096) * 4096;
                TimeSpan began = Scheduler.Elapsed;
                await (guest.Writes && random.Next(3) == 0 ? Disk.WriteAsync(at, buffer) : Disk.ReadAsync(at, buffer));
                latencies.Add((Scheduler.Elapsed - began).TotalMicroseconds);
                if (guest.Think > TimeSpan.Zero)
                {
                    await Task.Delay(guest.Think, Scheduler.Time);
                }
            }

            job?.TryCancel(force: true);
            await (job?.Completion ?? Task.CompletedTask);
        });
        Assert.InRange(latencies.Count, 300, 2000);
        latencies.Sort();
        return latencies[(int)(latencies.Count * 0.99)];
    }

    // With its tables warm.
    private static async Task<Disk> PrepareAsync(SimulationScheduler scheduler, bool hasMiddle)
    {
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions
        {
            Latency = new LatencyModel { Fixed = TimeSpan.FromMicroseconds(FixedMicroseconds), BytesPerSecond = (long)(BytesPerMicrosecond * 1e6) },
            WriteCache = WriteCacheMode.WriteThrough,
        });
        var options = new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, storage) };
        byte[] full = new byte[DiskLength];
        full.AsSpan().Fill(9);
        storage.AddFile("/vm/base", full);
        if (hasMiddle)
        {
            await using Disk middle = await Disk.CreateAsync("/vm/middle", Overlay("base", "raw"), options);
            await FillAsync(middle, DiskLength, 8);
        }

        Disk disk = await Disk.CreateAsync("/vm/top", hasMiddle ? Overlay("middle", "qcow2") : Overlay("base", "raw"), options);
        await FillAsync(disk, AllocatedLength, 7);
        await disk.ReadAsync(DiskLength - 512, new byte[512]);
        return disk;
    }

    private static NewImage Overlay(string backing, string format) => new() { Format = "qcow2", Length = DiskLength, Backing = new BackingReference(backing, format) };

    private static async Task FillAsync(Disk disk, long length, byte value)
    {
        byte[] written = new byte[1 << 20];
        written.AsSpan().Fill(value);
        for (long at = 0; at < length; at += written.Length)
        {
            await disk.WriteAsync(at, written);
        }

        await disk.FlushAsync();
    }
}
