using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// One seeded run: guests use a disk of three images while a job changes the chain below it, on simulated storage with a volatile cache; then every state that a
/// crash could have left is opened.
/// </summary>
internal sealed class ChainCrashWorld : IDisposable
{
    private const int DiskLength = 192 * 1024;
    private const int BaseLength = DiskLength - (20 * 1024); // shorter than the disk

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    private readonly SimulationScheduler _scheduler;
    private readonly SimulatedStorageProvider _storage;
    private readonly string _format;
    private readonly Disk _disk;
    private readonly SectorOracle _oracle;
    private readonly CrashRecorder _recorder;
    private bool _isTold;

    private ChainCrashWorld(SimulationScheduler scheduler, SimulatedStorageProvider storage, string format, Disk disk, SectorOracle oracle)
    {
        (_scheduler, _storage, _format, _disk, _oracle) = (scheduler, storage, format, disk, oracle);
        _recorder = new CrashRecorder(storage, oracle) { Observe = () => new Promise(oracle.Snapshot(), _isTold) };
    }

    /// <summary>Crash points so far.</summary>
    internal int Points => _recorder.Images.Count;

    /// <summary>Makes the chain <c>/vm/base</c>, <c>/vm/middle</c>, <c>/vm/top</c> and, beside it, <c>/vm/next</c>, and opens it.</summary>
    /// <param name="seed">Of the run.</param>
    /// <param name="format">Of the base and of the top.</param>
    /// <param name="files">What the disk sees of the files; null: all of them as they are.</param>
    internal static ChainCrashWorld Create(ulong seed, string format, Func<StorageProvider, StorageProvider>? files = null)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions());
        scheduler.Run(() => MakeAsync(SimulatedEnvironment.Of(scheduler, storage), storage, format));
        BlockEnvironment environment = SimulatedEnvironment.Of(scheduler, storage) with { Files = files?.Invoke(storage) ?? storage };
        Disk disk = scheduler.Run(async () => await Disk.OpenAsync("/vm/top", new DiskOptions { Environment = environment }));
        byte[] content = scheduler.Run(() => OracleGuest.ReadAllAsync(disk.Root));
        return new ChainCrashWorld(scheduler, storage, format, disk, new SectorOracle(DiskLength, content));
    }

    /// <summary>Runs the guests and the job to their ends.</summary>
    internal void Run(Func<Disk, ValueTask<BlockJob>> start, int guests = 2)
    {
        for (int i = 0; i < guests; i++)
        {
            var guest = new OracleGuest(_disk.Root, _oracle);
            SeededRandom random = _scheduler.CreateRandom((ulong)i);
            _scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests: 7, new GuestProfile { MaxLength = 32 * 1024 }));
        }

        _scheduler.Spawn("job", async () =>
        {
            BlockJob job = await start(_disk);
            job.Notified += (_, what) => _isTold |= what is JobEnded { Result.Outcome: JobOutcome.Completed };
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        });
        _scheduler.Run();
        _recorder.Capture("all is done");
        _scheduler.Run(() => _disk.DisposeAsync().AsTask());
    }

    /// <summary>Opens every state. Its chain is one of those given, the last of them once success was told, and the disk holds what guests were promised.</summary>
    internal Task<long> CheckAsync(params string[] chains)
        => CrashCheck.RunAsync(_recorder, async (state, storage) =>
        {
            var promise = (Promise)state.Image.Observation!;
            var options = new DiskOptions { Environment = SimulatedEnvironment.Inline(storage), Access = NodeAccess.ReadOnly };
            await using Disk disk = await Disk.OpenAsync("/vm/top", options);
            promise.Oracle.Check(await OracleGuest.ReadAllAsync(disk.Root));
            Assert.Contains(string.Join(" <- ", disk.Chain.Skip(1).Select(image => image.Path)), promise.IsTold ? chains[^1..] : chains);
            foreach (BlockNode image in disk.Chain.Where(ImageChecker.CanCheck))
            {
                ImageCheckReport report = await ImageChecker.CheckAsync(image);
                Assert.True(report.Corruptions == 0, $"{image.NodeName}: {string.Join(Environment.NewLine, report.Findings)}");
            }
        }, s_enumeration);

    public void Dispose() => _recorder.Dispose();

    private static async Task MakeAsync(BlockEnvironment environment, SimulatedStorageProvider storage, string format)
    {
        var options = new DiskOptions { Environment = environment };
        byte[] content = GuestStamp.Create(0, BaseLength, writer: 1 << 30);
        if (format == "raw")
        {
            storage.AddFile("/vm/base", content);
        }
        else
        {
            await using Disk made = await Disk.CreateAsync("/vm/base", new NewImage { Format = format, Length = BaseLength, Options = Small(format) }, options);
            await made.WriteAsync(0, content);
            await made.FlushAsync();
        }

        // As the base, except in one place; and longer.
        byte[] next = new byte[DiskLength];
        content.CopyTo(next, 0);
        GuestStamp.Create(120 * 1024, 7 * 1024, writer: (1 << 30) + 5).CopyTo(next, 120 * 1024);
        storage.AddFile("/vm/next", next);
        string own = format == "raw" ? "qcow2" : format;
        var middle = new NewImage { Format = "qcow2", Length = DiskLength, Backing = new BackingReference("base", format), Options = Small("qcow2") };
        await using (Disk written = await Disk.CreateAsync("/vm/middle", middle, options))
        {
            await written.WriteAsync(20 * 1024, GuestStamp.Create(20 * 1024, 60 * 1024, writer: (1 << 30) + 1));
            await written.WriteZeroesAsync(100 * 1024, 16 * 1024);
            await written.WriteAsync(DiskLength - 8192, GuestStamp.Create(DiskLength - 8192, 4096, writer: (1 << 30) + 1));
            await written.FlushAsync();
        }

        var top = new NewImage { Format = own, Length = DiskLength, Backing = new BackingReference("middle", "qcow2"), Options = Small(own) };
        await using Disk disk = await Disk.CreateAsync("/vm/top", top, options);
        await disk.WriteAsync(40 * 1024, GuestStamp.Create(40 * 1024, 9 * 1024, writer: (1 << 30) + 2));
        await disk.FlushAsync();
    }

    private static Dictionary<string, string> Small(string format)
        => format == "qed" ? new() { ["cluster_size"] = "4096", ["table_size"] = "2" } : new() { ["cluster_size"] = "4096" };

    private sealed record Promise(SectorOracle Oracle, bool IsTold);
}
