using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// A power failure at any moment of a snapshot over two disks, under guests. Before it is noted that the overlays are the newest images, the old ones hold what
/// guests were promised; from then on the overlays do. Both disks always agree about which.
/// </summary>
public sealed class DiskSnapshotCrashTests
{
    private const int DiskLength = 128 * 1024;
    private const string Note = "/vm/switched";

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    [Theory]
    [InlineData("qcow2", "qcow2", 5)]
    [InlineData("add-cow", "add-cow", 1)]
    public async Task After_any_crash_of_a_snapshot_over_two_disks_both_hold_what_was_promised(string below, string above, int seeds)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 0; seed < (ulong)seeds; seed++)
        {
            (int seen, long tried) = await RunAsync(seed, sabotage: null, below, above);
            points += seen;
            states += tried;
        }

        CrashTable.Print($"snapshot: raw and {below} disk under {above}, at one moment", points, states, "both old or both new, flushed or later");
        Assert.True(states > 200, $"{states} states");
    }

    [Theory]
    [InlineData("/vm/one")]
    [InlineData("/vm/two")]
    public async Task A_snapshot_that_does_not_flush_what_lies_below_is_caught(string path)
    {
        int caught = 0;
        for (ulong seed = 0; seed < 6; seed++)
        {
            var hook = new NoFlushWhileSwitching();
            try
            {
                await RunAsync(seed, (path, hook));
            }
            catch (CrashCheckException)
            {
                caught++;
            }
        }

        Assert.True(caught > 0, "nobody would notice");
    }

    private static async Task<(int Points, long States)> RunAsync(
        ulong seed, (string Path, NoFlushWhileSwitching Hook)? sabotage, string below = "qcow2", string above = "qcow2")
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions());
        StorageProvider files = sabotage is var (path, hook) ? new HookedStorageProvider(storage, path, hook) : storage;
        BlockEnvironment environment = SimulatedEnvironment.Of(scheduler, storage) with { Files = files };
        byte[] content = GuestStamp.Create(0, DiskLength, writer: 1 << 30);
        storage.AddFile("/vm/one", content);
        storage.AddFile("/vm/base", content);
        Disk[] disks =
        [
            scheduler.Run(async () => await Disk.OpenAsync("/vm/one", new DiskOptions { Format = "raw", Environment = environment })),
            scheduler.Run(() => MakeAsync(environment, below, content)),
        ];
        SectorOracle[] oracles = [new SectorOracle(DiskLength, content), new SectorOracle(DiskLength, content)];
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => oracles.Select(static oracle => oracle.Snapshot()).ToArray() };
        for (int i = 0; i < disks.Length; i++)
        {
            var guest = new OracleGuest(disks[i].Root, oracles[i]);
            SeededRandom random = scheduler.CreateRandom((ulong)i);
            scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests: 8, new GuestProfile { MaxLength = 16 * 1024, Zeroes = 0, Discards = 0, Flushes = 3 }));
        }

        scheduler.Spawn("snapshot", async () =>
        {
            sabotage?.Hook.Begin();
            await DiskSnapshot.TakeAsync([OverlayOf(disks[0], "one.1", above), OverlayOf(disks[1], "two.1", above)], token => NoteAsync(storage, token));
        });
        scheduler.Run();
        recorder.Capture("all is done");
        foreach (Disk disk in disks)
        {
            scheduler.Run(() => disk.DisposeAsync().AsTask());
        }

        return (recorder.Images.Count, await CrashCheck.RunAsync(recorder, CheckAsync, s_enumeration));
    }

    private static DiskOverlay OverlayOf(Disk disk, string name, string format)
        => new(disk, "/vm/" + name, new OverlayOptions { Format = format, CreateOptions = OptionsOf(format, name) });

    private static Dictionary<string, string> OptionsOf(string format, string name)
    {
        var options = new Dictionary<string, string> { ["cluster_size"] = "4096" };
        if (format == "add-cow")
        {
            options["image_file"] = name + ".img";
        }

        return options;
    }

    private static async Task<Disk> MakeAsync(BlockEnvironment environment, string format, byte[] content)
    {
        var image = new NewImage { Format = format, Length = DiskLength, Backing = new BackingReference("base", "raw"), Options = OptionsOf(format, "two") };
        Disk disk = await Disk.CreateAsync("/vm/two", image, new DiskOptions { Environment = environment });
        await disk.WriteAsync(0, content);
        await disk.FlushAsync();
        return disk;
    }

    // What the owner of the disks does: a durable word that the overlays are the newest images.
    private static async ValueTask NoteAsync(SimulatedStorageProvider storage, CancellationToken cancellationToken)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage note = await storage.OpenAsync(Note, how, cancellationToken);
        await note.WriteAsync(0, new byte[] { 1 }, cancellationToken);
        await note.FlushAsync(cancellationToken);
        await storage.FlushDirectoryAsync(Note, cancellationToken);
    }

    private static async Task CheckAsync(CrashState state, SimulatedStorageProvider storage)
    {
        var promises = (SectorOracle[])state.Image.Observation!;
        string suffix = storage.GetInfo(Note) is not null && storage.ReadFile(Note).Length > 0 ? ".1" : "";
        var options = new DiskOptions { Environment = SimulatedEnvironment.Inline(storage), Access = NodeAccess.ReadOnly };
        await using Disk one = await Disk.OpenAsync("/vm/one" + suffix, suffix.Length == 0 ? options with { Format = "raw" } : options);
        await using Disk two = await Disk.OpenAsync("/vm/two" + suffix, options);
        promises[0].Check(await OracleGuest.ReadAllAsync(one.Root));
        promises[1].Check(await OracleGuest.ReadAllAsync(two.Root));
        foreach (BlockNode image in one.Chain.Concat(two.Chain).Where(ImageChecker.CanCheck))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image);
            Assert.True(report.Corruptions == 0, $"{image.NodeName}: {string.Join(Environment.NewLine, report.Findings)}");
        }
    }

    private sealed class NoFlushWhileSwitching : StorageHook
    {
        private bool _isOn;

        internal void Begin() => _isOn = true;

        public override ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken) => _isOn ? ValueTask.CompletedTask : file.FlushAsync(cancellationToken);
    }
}
