using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// What a guest notices of a live copy, and the copy of a guest, in virtual time, on disks that take 100 microseconds a request and move 500 MB/s.
/// </summary>
public sealed class LiveCopyLatencyTests
{
    private const int Length = 64 << 20;
    private const double FixedMicroseconds = 100;
    private const double BytesPerMicrosecond = 500;

    [Fact]
    public void A_guest_waits_for_one_step_at_most_while_the_disk_is_copied_in_the_background()
    {
        double idle = Percentile99(Measure(isCopied: false));
        double busy = Percentile99(Measure(isCopied: true));
        double bound = idle + (2 * (FixedMicroseconds + (64 * 1024 / BytesPerMicrosecond)));
        Assert.True(busy <= bound, $"idle {idle} us, under a copy {busy} us, allowed {bound} us");
    }

    [Fact]
    public void A_copy_under_a_guest_that_never_rests_makes_a_step_every_100_ms()
    {
        var scheduler = new SimulationScheduler(3);
        Disk disk = scheduler.Run(() => PrepareAsync(scheduler));
        bool done = false;
        scheduler.Spawn("guest", async () =>
        {
            while (!done)
            {
                await disk.ReadAsync(0, new byte[4096]);
            }
        });
        scheduler.Run(async () =>
        {
            MirrorJob job = await StartAsync(disk);
            await Task.Delay(TimeSpan.FromSeconds(2), scheduler.Time);
            Assert.InRange(job.CopiedBytes, 18 * 65536, 42 * 65536);
            job.TryCancel(force: true);
            await job.Completion;
            done = true;
        });
    }

    // Latencies of a guest's random 4 KiB reads and writes, in microseconds.
    private static List<double> Measure(bool isCopied)
    {
        var scheduler = new SimulationScheduler(7);
        Disk disk = scheduler.Run(() => PrepareAsync(scheduler));
        var latencies = new List<double>();
        scheduler.Run(async () =>
        {
            MirrorJob? job = isCopied ? await StartAsync(disk) : null;
            SeededRandom random = scheduler.CreateRandom(1);
            byte[] buffer = new byte[4096];
            for (int i = 0; i < 1000 && job?.State is null or JobState.Running; i++)
            {
                long at = random.NextInt64(Length / 4096) * 4096;
                TimeSpan start = scheduler.Elapsed;
                await (random.Next(3) == 0 ? disk.WriteAsync(at, buffer) : disk.ReadAsync(at, buffer));
                latencies.Add((scheduler.Elapsed - start).TotalMicroseconds);
                await Task.Delay(TimeSpan.FromMilliseconds(2), scheduler.Time);
            }

            job?.TryCancel(force: true);
            await (job?.Completion ?? Task.CompletedTask);
        });
        Assert.InRange(latencies.Count, 200, 1000);
        return latencies;
    }

    private static double Percentile99(List<double> latencies)
    {
        latencies.Sort();
        return latencies[(int)(latencies.Count * 0.99)];
    }

    private static ValueTask<MirrorJob> StartAsync(Disk disk) => disk.StartMirrorAsync("/vm/target", create: new NewImage { Format = "raw" });

    private static async Task<Disk> PrepareAsync(SimulationScheduler scheduler)
    {
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions
        {
            Latency = new LatencyModel { Fixed = TimeSpan.FromMicroseconds(FixedMicroseconds), BytesPerSecond = (long)(BytesPerMicrosecond * 1e6) },
            WriteCache = WriteCacheMode.WriteThrough,
        });
        byte[] full = new byte[Length];
        full.AsSpan().Fill(9);
        storage.AddFile("/vm/disk", full);
        return await Disk.OpenAsync("/vm/disk", new DiskOptions { Format = "raw", Environment = SimulatedEnvironment.Of(scheduler, storage) });
    }
}
