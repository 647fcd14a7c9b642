using BlockLayer.Errors;
using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.CowOverlay;

/// <summary>Guests, copies from below, drains and pulls on few clusters, in orders that a seed decides: every read is explained by the writes.</summary>
public sealed class CowOverlayInterleavingTests
{
    private const int Cluster = 4096;
    private const int Length = (12 * Cluster) + 1536;
    private const int BaseLength = (8 * Cluster) + 512;

    private static readonly byte[] s_base = GuestStamp.Create(0, BaseLength, writer: 1_000_000);
    private static readonly GuestProfile s_profile = new() { MaxLength = 6 * Cluster };

    [Fact]
    public void Guests_copies_and_drains_agree_on_every_sector()
        => Seeds.Check($"{nameof(CowOverlayInterleavingTests)}.{nameof(Guests_copies_and_drains_agree_on_every_sector)}", 150, seed => RunCopies(seed, failures: false));

    [Fact]
    public void The_same_holds_when_storage_fails()
        => Seeds.Check($"{nameof(CowOverlayInterleavingTests)}.{nameof(The_same_holds_when_storage_fails)}", 150, seed => RunCopies(seed, failures: true));

    [Fact]
    public void A_pull_under_guests_ends_as_the_disk_they_see()
        => Seeds.Check($"{nameof(CowOverlayInterleavingTests)}.{nameof(A_pull_under_guests_ends_as_the_disk_they_see)}", 100, RunPull);

    private static void RunCopies(ulong seed, bool failures)
    {
        (SimulationScheduler scheduler, SimulatedStorageProvider storage, SectorOracle oracle) = Prepare(seed);
        var world = new CowOverlayWorld { Environment = SimulatedEnvironment.Of(scheduler, storage) };
        scheduler.Run(async () =>
        {
            CowOverlayNode node = await world.OpenAsync();
            if (failures)
            {
                const StorageOperations Breakable = StorageOperations.Read | StorageOperations.Write | StorageOperations.WriteZeroes;
                storage.Faults.Add(new FaultRule { Operations = Breakable, Path = CowOverlayWorld.Image, Probability = 0.05, Effect = FaultEffect.FailPartly });
                storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = CowOverlayWorld.Top, Probability = 0.1, Effect = FaultEffect.FailPartly });
                storage.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Path = CowOverlayWorld.Base, Probability = 0.05 });
            }

            IEnumerable<Task> guests = Enumerable.Range(1, 4).Select(guest => GuestAsync(node, oracle, scheduler.CreateRandom((ulong)guest)));
            await Task.WhenAll([.. guests, CopyAsync(node), DrainAsync(node, scheduler)]);
            storage.Faults.Clear();
            await new OracleGuest(node, oracle).ReadAsync(0, Length);
            await node.DisposeAsync();

            await using CowOverlayNode again = await world.OpenAsync(NodeAccess.ReadOnly);
            await new OracleGuest(again, oracle).ReadAsync(0, Length);
            Assert.True((await again.CheckAsync(progress: null, CancellationToken.None)).IsClean);
        });

        byte[] byTheBook = new AddCowByTheBook(storage.ReadFile(CowOverlayWorld.Top), storage.ReadFile(CowOverlayWorld.Image), s_base).ReadAll();
        OracleRead read = oracle.BeginRead(0, Length);
        oracle.CompleteRead(read, byTheBook);
    }

    private static async Task GuestAsync(CowOverlayNode node, SectorOracle oracle, SeededRandom random)
    {
        var guest = new OracleGuest(node, oracle);
        for (int request = 0; request < 20; request++)
        {
            try
            {
                await guest.RunAsync(random, requests: 1, s_profile);
            }
            catch (BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
            {
                // Told to the oracle by the guest, which goes on.
            }
        }
    }

    // Backwards, so that copies meet guests' clusters from the other side.
    private static async Task CopyAsync(CowOverlayNode node)
    {
        byte[] content = new byte[Length];
        s_base.CopyTo(content, 0);
        for (int offset = Length / Cluster * Cluster; offset >= 0; offset -= Cluster)
        {
            try
            {
                await node.PopulateAsync(offset, content.AsMemory(offset, Math.Min(2 * Cluster, Length - offset)));
            }
            catch (BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
            {
                // The cluster stays where it is.
            }
        }
    }

    private static async Task DrainAsync(CowOverlayNode node, SimulationScheduler scheduler)
    {
        for (int i = 0; i < 4; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1 + i), scheduler.Time);
            using GraphChange change = await GraphChange.BeginAsync(node, CancellationToken.None);
            Assert.True(node.Gate.IsIdle);
        }
    }

    private static void RunPull(ulong seed)
    {
        (SimulationScheduler scheduler, SimulatedStorageProvider storage, SectorOracle oracle) = Prepare(seed);
        Disk disk = scheduler.Run(() => Disk.OpenAsync(CowOverlayWorld.Top, new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, storage) }).AsTask());
        for (ulong i = 1; i <= 3; i++)
        {
            SeededRandom random = scheduler.CreateRandom(i);
            scheduler.Spawn($"guest {i}", () => new OracleGuest(disk.Root, oracle).RunAsync(random, requests: 15, s_profile));
        }

        scheduler.Spawn("puller", async () =>
        {
            JobResult result = await (await disk.StartPullAsync()).Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        });
        scheduler.Run();
        Assert.Single(disk.Chain);
        scheduler.Run(() => new OracleGuest(disk.Root, oracle).ReadAsync(0, Length));
        scheduler.Run(() => disk.DisposeAsync().AsTask());
        OracleRead read = oracle.BeginRead(0, Length);
        oracle.CompleteRead(read, storage.ReadFile(CowOverlayWorld.Image));
    }

    private static (SimulationScheduler Scheduler, SimulatedStorageProvider Storage, SectorOracle Oracle) Prepare(ulong seed)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler);
        var drawing = new SimulatedStorageProvider();
        drawing.AddFile(CowOverlayWorld.Base, s_base);
        new CowOverlayWorld { Environment = SimulatedEnvironment.Inline(drawing) }.CreateAsync(Length, Cluster, CowOverlayWorld.OverBase).AsTask().GetAwaiter().GetResult();
        foreach (string path in new[] { CowOverlayWorld.Top, CowOverlayWorld.Image, CowOverlayWorld.Base })
        {
            storage.AddFile(path, drawing.ReadFile(path));
        }

        byte[] initial = new byte[Length];
        s_base.CopyTo(initial, 0);
        return (scheduler, storage, new SectorOracle(Length, initial));
    }
}
