using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using BlockLayer.Simulation.Tests.Crashes;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// Pulls of real images under guests, and a power failure at any moment: the image opens, its chain is the old one or the new one, and either holds what
/// guests were promised. Once the job has told success it is the new one. (QEMU's block-stream does not keep this: killed right after its completion
/// event, a qcow2 image reads zeroes and its check finds nothing.)
/// </summary>
public sealed class PullCrashTests
{
    private const int DiskLength = 192 * 1024;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    [Theory]
    [InlineData("qcow2", "cluster_size=4096", null, "cancel")]
    [InlineData("qcow2", "cluster_size=4096", "base", "wait")]
    [InlineData("qcow2", "cluster_size=16384,compat=0.10", "base", "cancel")]
    [InlineData("qcow2", "cluster_size=65536", null, "wait-store-first")]
    [InlineData("qed", "cluster_size=4096,table_size=2", null, "cancel")]
    [InlineData("qed", "cluster_size=65536", "base", "cancel-store-first")]
    public async Task After_any_crash_the_chain_is_the_old_or_the_new_one_and_holds_what_was_promised(string format, string options, string? basis, string strategy)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 0; seed < 5; seed++)
        {
            (int seen, long tried) = await RunAsync(seed, format, options, basis, strategy, new FaultPlan());
            points += seen;
            states += tried;
        }

        CrashTable.Print($"pull: {format} to {basis ?? "no base"}, {strategy}", points, states, "old or new chain, flushed or later");

        Assert.True(states > 200, $"{states} states");
    }

    [Fact]
    public async Task A_disk_whose_flushes_lie_is_noticed()
    {
        int noticed = 0;
        for (ulong seed = 0; seed < 4; seed++)
        {
            var faults = new FaultPlan();
            faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/top", Effect = FaultEffect.Lie, Skip = 3, Probability = 0.7 });
            try
            {
                await RunAsync(seed, "qcow2", "cluster_size=4096", basis: null, "cancel", faults);
            }
            catch (CrashCheckException)
            {
                noticed++;
            }
        }

        Assert.True(noticed > 0, "the test would not notice a missing flush");
    }

    private static async Task<(int Points, long States)> RunAsync(ulong seed, string format, string options, string? basis, string strategy, FaultPlan faults)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Faults = faults });
        storage.AddFile("/vm/base", GuestStamp.Create(0, DiskLength - (20 * 1024), writer: 1 << 30)); // shorter than the disk
        BlockEnvironment environment = SimulatedEnvironment.Of(scheduler, storage);
        (Disk disk, SectorOracle oracle) = scheduler.Run(() => PrepareAsync(environment, format, options));
        using var recorder = new CrashRecorder(storage, oracle);
        bool told = false;
        recorder.Observe = () => new Promise(oracle.Snapshot(), told);
        for (int i = 0; i < 2; i++)
        {
            var guest = new OracleGuest(disk.Root, oracle);
            SeededRandom random = scheduler.CreateRandom((ulong)i);
            scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests: 7, new GuestProfile { MaxLength = 32 * 1024 }));
        }

        scheduler.Spawn("puller", async () =>
        {
            var job = new StreamJob(disk.Root, new StreamOptions
            {
                BaseName = basis is null ? null : $"/vm/{basis}",
                Strategy = CopyStrategy.All.Single(known => known.Name == strategy),
            });
            job.Notified += (_, what) => told |= what is JobEnded { Result.Outcome: JobOutcome.Completed };
            await job.StartAsync();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        });
        scheduler.Run();
        scheduler.Run(() => disk.DisposeAsync().AsTask());
        return (recorder.Images.Count, await CrashCheck.RunAsync(recorder, (state, reopened) => CheckAsync(state, reopened, format, basis), s_enumeration));
    }

    // base (raw) <- middle (qcow2) <- top, with something of its own in each.
    private static async Task<(Disk Disk, SectorOracle Oracle)> PrepareAsync(BlockEnvironment environment, string format, string options)
    {
        var middle = new NewImage { Format = "qcow2", Length = DiskLength, Backing = new BackingReference("base", "raw"), Options = Options("cluster_size=4096") };
        await using (Disk written = await Disk.CreateAsync("/vm/middle", middle, new DiskOptions { Environment = environment }))
        {
            await written.WriteAsync(20 * 1024, GuestStamp.Create(20 * 1024, 60 * 1024, writer: (1 << 30) + 1));
            await written.WriteZeroesAsync(100 * 1024, 30 * 1024);
            await written.FlushAsync();
        }

        var top = new NewImage { Format = format, Length = DiskLength, Backing = new BackingReference("middle", "qcow2"), Options = Options(options) };
        Disk disk = await Disk.CreateAsync("/vm/top", top, new DiskOptions { Environment = environment });
        await disk.WriteAsync(40 * 1024, GuestStamp.Create(40 * 1024, 9 * 1024, writer: (1 << 30) + 2));
        await disk.FlushAsync();
        return (disk, new SectorOracle(DiskLength, await OracleGuest.ReadAllAsync(disk.Root)));
    }

    private static async Task CheckAsync(CrashState state, SimulatedStorageProvider storage, string format, string? basis)
    {
        var promise = (Promise)state.Image.Observation!;
        var options = new DiskOptions { Format = format, Environment = SimulatedEnvironment.Inline(storage), Access = NodeAccess.ReadOnly };
        await using Disk disk = await Disk.OpenAsync("/vm/top", options);
        promise.Oracle.Check(await OracleGuest.ReadAllAsync(disk.Root));
        string chain = string.Join(" <- ", disk.Chain.Skip(1).Select(image => image.Path));
        string[] allowed = promise.IsTold ? [basis is null ? "" : "/vm/base"] : ["/vm/middle <- /vm/base", basis is null ? "" : "/vm/base"];
        Assert.Contains(chain, allowed);
        ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
        Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
    }

    private static Dictionary<string, string> Options(string options)
        => options.Split(',').Select(option => option.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);

    private sealed record Promise(SectorOracle Oracle, bool IsTold);
}
