using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>What a guest notices of a job, in virtual time: its 99th percentile against that of the same guest without one.</summary>
public sealed class GuestLatencyTests
{
    private static readonly Dictionary<string, Func<Disk, Task<BlockJob>>> s_jobs = new()
    {
        ["pull, cancelling copies"] = disk => PullAsync(disk, "cancel"),
        ["pull, waiting for copies"] = disk => PullAsync(disk, "wait"),
        ["commit"] = async disk => await disk.StartCommitAsync(new CommitOptions { TopName = "/vm/middle", BaseName = "/vm/base" }),
        ["active commit"] = async disk => await disk.StartCommitAsync(new ActiveCommitOptions { BaseName = "/vm/base" }),
        ["mirror"] = async disk => await disk.StartMirrorAsync("/vm/copy", create: new NewImage { Format = "qcow2" }),
        ["backup"] = async disk =>
        {
            var options = new DiskOptions { Format = "qcow2", Environment = disk.Root.Environment };
            await (await Disk.CreateAsync("/vm/saved", new NewImage { Format = "qcow2", Length = disk.Length }, options)).DisposeAsync();
            return await disk.StartBackupAsync("/vm/saved", targetOptions: options);
        },
        ["rebase"] = async disk => await disk.StartRebaseAsync(backing: null),
    };

    private static readonly string[] s_overTwo = ["commit", "active commit"];

    public static TheoryData<string> Jobs => [.. s_jobs.Keys];

    [Theory]
    [MemberData(nameof(Jobs))]
    public void Requests_on_allocated_clusters_stay_within_twice_their_idle_latency(string job)
    {
        // A write under a backup waits for the old content to be saved: it meets a copy.
        LatencyGuest guest = LatencyGuest.OnAllocated with { Writes = job != "backup" };
        (double idle, double busy) = Measure(job, guest);
        Assert.True(busy <= 2 * idle, $"idle {idle} us, under a {job} {busy} us");
    }

    [Theory]
    [MemberData(nameof(Jobs))]
    public void Requests_that_cause_or_meet_a_copy_wait_for_one_unit_and_one_store_at_most(string job)
    {
        (double idle, double busy) = Measure(job, LatencyGuest.Everywhere);
        double bound = idle + LatencyWorld.RequestTime(64 * 1024) + LatencyWorld.RequestTime(512 * 1024);
        Assert.True(busy <= bound, $"idle {idle} us, under a {job} {busy} us, allowed {bound} us");
    }

    [Fact]
    public void A_pull_under_a_guest_that_never_rests_makes_a_step_every_100_ms()
    {
        LatencyWorld world = LatencyWorld.Create(seed: 3);
        Disk disk = world.Disk;
        bool done = false;
        world.Scheduler.Spawn("guest", async () =>
        {
            while (!done)
            {
                await disk.ReadAsync(0, new byte[4096]);
            }
        });
        world.Scheduler.Run(async () =>
        {
            StreamJob job = await disk.StartPullAsync();
            long before = job.Progress.Current;
            await Task.Delay(TimeSpan.FromSeconds(2), world.Scheduler.Time);
            job.TryCancel();
            await job.Completion;
            done = true;
            Assert.InRange(job.Progress.Current - Math.Max(before, LatencyWorld.AllocatedLength), 18 * 65536, 42 * 65536);
        });
    }

    private static (double Idle, double Busy) Measure(string job, LatencyGuest guest)
    {
        bool hasMiddle = s_overTwo.Contains(job);
        double idle = LatencyWorld.Create(seed: 7, hasMiddle).Percentile99(start: null, guest);
        double busy = LatencyWorld.Create(seed: 7, hasMiddle).Percentile99(s_jobs[job], guest);
        TestContext.Current.TestOutputHelper?.WriteLine($"{job}: idle {idle:0} us, busy {busy:0} us");
        return (idle, busy);
    }

    private static async Task<BlockJob> PullAsync(Disk disk, string strategy)
        => await disk.StartPullAsync(new StreamOptions { Strategy = CopyStrategy.All.Single(known => known.Name == strategy) });
}
