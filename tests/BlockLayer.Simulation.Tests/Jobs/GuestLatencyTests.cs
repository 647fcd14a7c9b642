using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// What a guest notices of a pull, in virtual time, on a disk that takes 100 microseconds a request and moves 500 MB/s: its 99th percentile against that
/// of the same guest without a pull.
/// </summary>
public sealed class GuestLatencyTests
{
    private const long DiskLength = 192L << 20;
    private const long AllocatedLength = 16L << 20;
    private const double FixedMicroseconds = 100;
    private const double BytesPerMicrosecond = 500;

    [Theory]
    [InlineData("cancel")]
    [InlineData("wait")]
    public void Requests_on_allocated_clusters_stay_within_twice_their_idle_latency(string strategy)
    {
        double idle = Percentile99(Measure(pull: null, 0, AllocatedLength, think: TimeSpan.Zero));
        double busy = Percentile99(Measure(strategy, 0, AllocatedLength, think: TimeSpan.Zero));
        Assert.True(busy <= 2 * idle, $"idle {idle} us, under a pull {busy} us");
    }

    [Theory]
    [InlineData("cancel")]
    [InlineData("wait")]
    public void Requests_that_cause_or_meet_a_copy_wait_for_one_unit_and_one_store_at_most(string strategy)
    {
        double idle = Percentile99(Measure(pull: null, 0, DiskLength, think: TimeSpan.FromMilliseconds(3)));
        double busy = Percentile99(Measure(strategy, 0, DiskLength, think: TimeSpan.FromMilliseconds(3)));
        double bound = idle + RequestTime(64 * 1024) + RequestTime(512 * 1024);
        Assert.True(busy <= bound, $"idle {idle} us, under a pull {busy} us, allowed {bound} us");
    }

    [Fact]
    public void A_pull_under_a_guest_that_never_rests_makes_a_step_every_100_ms()
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
            StreamJob job = await disk.StartPullAsync();
            long before = job.Progress.Current;
            await Task.Delay(TimeSpan.FromSeconds(2), scheduler.Time);
            job.TryCancel();
            await job.Completion;
            done = true;
            Assert.InRange(job.Progress.Current - Math.Max(before, AllocatedLength), 18 * 65536, 42 * 65536);
        });
    }

    private static double RequestTime(long bytes) => FixedMicroseconds + (bytes / BytesPerMicrosecond);

    private static double Percentile99(List<double> latencies)
    {
        latencies.Sort();
        return latencies[(int)(latencies.Count * 0.99)];
    }

    // Latencies of a guest's random 4 KiB reads and writes, in microseconds, while a pull goes on all the time.
    private static List<double> Measure(string? pull, long offset, long length, TimeSpan think)
    {
        var scheduler = new SimulationScheduler(7);
        Disk disk = scheduler.Run(() => PrepareAsync(scheduler));
        var latencies = new List<double>();
        scheduler.Run(async () =>
        {
            StreamJob? job = pull is null
                ? null
                : await disk.StartPullAsync(new StreamOptions { Strategy = CopyStrategy.All.Single(known => known.Name == pull) });
            SeededRandom random = scheduler.CreateRandom(1);
            byte[] buffer = new byte[4096];
            for (int i = 0; i < 2000 && job?.State is null or JobState.Running; i++)
            {
                long at = offset + (random.NextInt64(length / 4096) * 4096);
                TimeSpan start = scheduler.Elapsed;
                await (random.Next(3) == 0 ? disk.WriteAsync(at, buffer) : disk.ReadAsync(at, buffer));
                latencies.Add((scheduler.Elapsed - start).TotalMicroseconds);
                if (think > TimeSpan.Zero)
                {
                    await Task.Delay(think, scheduler.Time);
                }
            }

            job?.TryCancel();
            await (job?.Completion ?? Task.CompletedTask);
        });
        Assert.InRange(latencies.Count, 300, 2000);
        return latencies;
    }

    // A qcow2 overlay, its start written, over a full raw base, with its tables warm.
    private static async Task<Disk> PrepareAsync(SimulationScheduler scheduler)
    {
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions
        {
            Latency = new LatencyModel { Fixed = TimeSpan.FromMicroseconds(FixedMicroseconds), BytesPerSecond = (long)(BytesPerMicrosecond * 1e6) },
            WriteCache = WriteCacheMode.WriteThrough,
        });
        byte[] full = new byte[DiskLength];
        full.AsSpan().Fill(9);
        storage.AddFile("/vm/base", full);
        var image = new NewImage { Format = "qcow2", Length = DiskLength, Backing = new BackingReference("base", "raw") };
        Disk disk = await Disk.CreateAsync("/vm/top", image, new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, storage) });
        byte[] written = new byte[1 << 20];
        written.AsSpan().Fill(7);
        for (long at = 0; at < AllocatedLength; at += written.Length)
        {
            await disk.WriteAsync(at, written);
        }

        await disk.FlushAsync();
        await disk.ReadAsync(DiskLength - 512, new byte[512]);
        return disk;
    }
}
