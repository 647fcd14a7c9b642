using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.Tests.Jobs;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>A disk that is closed ends the jobs on its chain, whoever started them.</summary>
public class DiskClosingTests
{
    private const long Length = 1 << 20;

    public static TheoryData<string> Kinds => JobBench.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_job_that_was_started_by_itself_is_cancelled_and_holds_no_file(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind, bytesPerSecond: 1);
            await job.StartAsync();
            await bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
            await disk.DisposeAsync();
            Assert.True(job.Completion.IsCompleted);
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            foreach (string file in (string[])["/disk", "/middle", "/base"])
            {
                await OpenAloneAsync(bench.Machine, file);
            }
        });
    }

    [Fact]
    public void A_job_that_was_made_for_an_image_of_the_chain_is_cancelled_too()
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            var job = new StreamJob(disk.Chain[0], new StreamOptions { BytesPerSecond = 1 });
            await job.StartAsync();
            await disk.DisposeAsync();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        });
    }

    // Whichever moment the close comes at: before the jobs are known, while they are set up, and while they work.
    [Fact]
    public void A_transaction_over_two_disks_is_cancelled_or_refused_when_one_of_them_is_closed()
    {
        int cancelled = 0;
        int refused = 0;
        for (ulong seed = 1; seed <= 100; seed++)
        {
            var machine = new SimulatedMachine(seed);
            machine.Run(async () =>
            {
                await (await machine.CreateAsync("/base", Length)).DisposeAsync();
                Disk closed = await machine.CreateAsync("/closed", Length, "/base");
                await using Disk other = await machine.CreateAsync("/other", Length, "/base");
                Disk[] disks = seed % 2 == 0 ? [closed, other] : [other, closed];
                BlockJob[] jobs = [.. disks.Select(static disk => new StreamJob(disk.Root, new StreamOptions { AutoFinalize = false }))];
                Task<JobTransaction> start = JobTransaction.StartAsync(jobs).AsTask();
                await machine.PassAsync(TimeSpan.FromMicroseconds(10 * seed));
                await closed.DisposeAsync();
                try
                {
                    await start;
                    Assert.Equal([JobOutcome.Cancelled, JobOutcome.Cancelled], (await Task.WhenAll(jobs.Select(static job => job.Completion))).Select(static result => result.Outcome));
                    cancelled++;
                }
                catch (ObjectDisposedException)
                {
                    refused++;
                }

                await OpenAloneAsync(machine, "/closed");
                Assert.All(other.Chain, static image => Assert.Empty(image.Claims));
            });
        }

        Assert.True(cancelled > 0 && refused > 0, $"{cancelled} cancelled, {refused} refused");
    }

    // Whichever moment the close comes at: before the snapshot begins, while the overlay is made, and while the disk switches.
    [Fact]
    public void A_snapshot_is_taken_or_refused_when_its_disk_is_closed()
    {
        int taken = 0;
        int refused = 0;
        for (ulong seed = 1; seed <= 100; seed++)
        {
            var machine = new SimulatedMachine(seed);
            machine.Run(async () =>
            {
                Disk disk = await machine.CreateAsync("/disk", Length);
                await disk.WriteAsync(0, new byte[512]);
                Task close = CloseAsync();
                try
                {
                    await machine.PassAsync(TimeSpan.FromMicroseconds(100));
                    Assert.Null((await disk.SwitchAsync("/overlay")).Error);
                    taken++;
                }
                catch (ObjectDisposedException)
                {
                    refused++;
                    Assert.Null(machine.Storage.GetInfo("/overlay"));
                }

                await close;
                await OpenAloneAsync(machine, "/disk");

                async Task CloseAsync()
                {
                    await machine.PassAsync(TimeSpan.FromMicroseconds(20 * seed));
                    await disk.DisposeAsync();
                }
            });
        }

        Assert.True(taken > 0 && refused > 0, $"{taken} taken, {refused} refused");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_job_that_comes_too_late_is_refused(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind);
            await disk.DisposeAsync();
            ObjectDisposedException refusal = await Assert.ThrowsAsync<ObjectDisposedException>(() => job.StartAsync().AsTask());
            Assert.Equal("/disk", refusal.ObjectName);
            Assert.Equal(JobState.Null, job.State);
        });
    }

    // Nobody is left who holds it.
    private static async Task OpenAloneAsync(SimulatedMachine machine, string file)
        => await (await machine.Storage.OpenAsync(file, new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None)).DisposeAsync();
}
