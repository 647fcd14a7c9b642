using BlockLayer.Graph;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Guests;

/// <summary>
/// Every format, through the public door: guests work at the same time, and after any crash the image opens, holds what was promised, and its tables do
/// not contradict each other (clusters may be leaked, nothing worse).
/// </summary>
public sealed class ImageCrashTests
{
    private const int DiskLength = 64 * 1024;
    private const int GuestCount = 3;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 7, RandomSubsets = 30 };

    [Theory]
    [InlineData("raw", "")]
    [InlineData("qcow2", "cluster_size=4096")]
    [InlineData("qcow2", "cluster_size=512,refcount_bits=1")]
    [InlineData("qcow2", "cluster_size=1024,compat=0.10")]
    [InlineData("qcow2", "cluster_size=4096,data_file=data")]
    [InlineData("qcow2", "cluster_size=2048,data_file=data,data_file_raw=on")]
    [InlineData("qed", "cluster_size=4096,table_size=2")]
    public async Task After_any_crash_the_image_opens_and_holds_what_was_promised(string format, string options)
    {
        long states = 0;
        for (ulong seed = 0; seed < 6; seed++)
        {
            states += await RunAsync(new SimulationScheduler(seed), format, options, backing: null, new FaultPlan());
        }

        Assert.True(states > 200, $"{states} states");
    }

    [Theory]
    [InlineData("qcow2", "cluster_size=4096")]
    [InlineData("qed", "cluster_size=4096,table_size=2")]
    public async Task The_same_holds_over_a_backing_file(string format, string options)
    {
        // Shorter than the disk: past its end the overlay reads zeroes.
        byte[] backing = GuestStamp.Create(0, 40 * 1024, writer: 1 << 30);
        for (ulong seed = 0; seed < 4; seed++)
        {
            await RunAsync(new SimulationScheduler(seed), format, options, backing, new FaultPlan());
        }
    }

    [Theory]
    [InlineData("raw", "")]
    [InlineData("qcow2", "cluster_size=4096")]
    [InlineData("qed", "cluster_size=4096,table_size=2")]
    public async Task A_disk_whose_flushes_lie_is_noticed(string format, string options)
    {
        int noticed = 0;
        for (ulong seed = 0; seed < 6; seed++)
        {
            var faults = new FaultPlan();
            faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/disk", Effect = FaultEffect.Lie, Skip = 4, Probability = 0.5 });
            try
            {
                await RunAsync(new SimulationScheduler(seed), format, options, backing: null, faults);
            }
            catch (CrashCheckException)
            {
                noticed++;
            }
        }

        Assert.True(noticed > 0, "the test would not notice a missing flush");
    }

    /// <summary>One run and its crashes; returns how many states were checked.</summary>
    private static async Task<long> RunAsync(SimulationScheduler scheduler, string format, string options, byte[]? backing, FaultPlan faults)
    {
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Faults = faults });
        if (backing is not null)
        {
            storage.AddFile("/vm/base", backing);
        }

        BlockEnvironment environment = SimulatedEnvironment.Of(scheduler, storage);
        var image = new NewImage
        {
            Format = format,
            Length = DiskLength,
            Backing = backing is null ? null : new BackingReference("base", "raw"),
            Options = options.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(option => option.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]),
        };
        Disk disk = scheduler.Run(() => Disk.CreateAsync("/vm/disk", image, new DiskOptions { Environment = environment }).AsTask());
        var oracle = new SectorOracle(DiskLength, backing ?? []);
        using var recorder = new CrashRecorder(storage, oracle);
        for (int i = 0; i < GuestCount; i++)
        {
            var guest = new OracleGuest(disk.Root, oracle);
            SeededRandom random = scheduler.CreateRandom((ulong)i);
            scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests: 8, new GuestProfile { MaxLength = 16 * 1024 }));
        }

        scheduler.Run();
        scheduler.Run(() => disk.DisposeAsync().AsTask());
        return await CrashCheck.RunAsync(recorder, (state, reopened) => CheckAsync(state, reopened, format), s_enumeration);
    }

    private static async Task CheckAsync(CrashState state, SimulatedStorageProvider storage, string format)
    {
        var options = new DiskOptions { Format = format, Environment = SimulatedEnvironment.Inline(storage), Access = NodeAccess.ReadOnly };
        await using Disk disk = await Disk.OpenAsync("/vm/disk", options);
        ((SectorOracle)state.Image.Observation!).Check(await OracleGuest.ReadAllAsync(disk.Root));
        if (format != "raw")
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }
    }
}
