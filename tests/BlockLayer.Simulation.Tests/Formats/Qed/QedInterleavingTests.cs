using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qed;

/// <summary>
/// Guests, a streamer and drains at the edges of several tables, with a cache that holds fewer tables than are in use, in orders that a seed decides.
/// </summary>
public class QedInterleavingTests
{
    private const int Cluster = QedWorld.Cluster;
    private const int Reach = 512 * Cluster; // one-cluster tables: 2 MiB a table
    private const int Tables = 6;
    private const int Length = Tables * Reach;
    private const int BaseLength = Reach + (3 * Cluster) + 512;
    private const int Window = 3; // clusters at each side of the edge between two tables
    private const int InitialLeaks = 1; // the second cluster of the L1 table, once the header says that tables have one
    private const string Top = "/top.qed";
    private const string Base = "/base.raw";

    private static readonly byte[] s_base = GuestStamp.Create(0, BaseLength, writer: 1_000_000);

    [Fact]
    public void Every_read_is_explained_by_the_writes_and_nothing_leaks()
        => Check(nameof(Every_read_is_explained_by_the_writes_and_nothing_leaks), failures: false);

    [Fact]
    public void The_same_holds_when_storage_fails_but_for_leaks()
        => Check(nameof(The_same_holds_when_storage_fails_but_for_leaks), failures: true);

    private static void Check(string test, bool failures) => Seeds.Check($"{nameof(QedInterleavingTests)}.{test}", 150, seed => Run(seed, failures));

    private static void Run(ulong seed, bool failures)
    {
        var scheduler = new SimulationScheduler(seed);
        SimulatedStorageProvider storage = CreateAsync(scheduler, seed).GetAwaiter().GetResult();
        var oracle = new SectorOracle(Length, s_base);
        var world = new QedWorld { Environment = new BlockEnvironment { Files = storage, Work = scheduler.Work, Time = scheduler.Time } };
        scheduler.Run(async () =>
        {
            QedNode node = await world.OpenAsync(Top, Base, cacheLength: 1);
            if (failures)
            {
                const StorageOperations Breakable = StorageOperations.Read | StorageOperations.Write | StorageOperations.WriteZeroes;
                storage.Faults.Add(new FaultRule { Operations = Breakable, Path = Top, Probability = 0.05, Effect = FaultEffect.FailPartly });
                storage.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Path = Base, Probability = 0.05 });
            }

            var guests = Enumerable.Range(1, 5).Select(guest => GuestAsync(node, oracle, scheduler.CreateRandom((ulong)guest)));
            await Task.WhenAll([.. guests, StreamAsync(node), DrainAsync(node, scheduler)]);
            storage.Faults.Clear();
            await ReadWindowsAsync(node, oracle);
            await node.DisposeAsync();

            await using QedNode again = await world.OpenAsync(Top, Base, NodeAccess.ReadOnly);
            await ReadWindowsAsync(again, oracle);
            ImageCheckReport check = await again.CheckAsync(progress: null, CancellationToken.None);
            Assert.True(check.Corruptions == 0, string.Join(' ', check.Findings));
            Assert.True(failures || check.Leaks == InitialLeaks, $"{check.Leaks - InitialLeaks} leaks");
            Assert.False(again.Header.NeedsCheck);
        });
    }

    private static async Task GuestAsync(QedNode node, SectorOracle oracle, SeededRandom random)
    {
        for (int step = 0; step < 20; step++)
        {
            int length = 512 * (1 + random.Next(random.Chance(0.3) ? 30 : 6));
            long offset = PickOffset(random, length);
            OracleWrite? write = null;
            try
            {
                switch (random.Next(10))
                {
                    case 0:
                        write = oracle.BeginWriteZeroes(offset, length);
                        await node.WriteZeroesAsync(offset, length);
                        break;
                    case 1:
                        write = oracle.BeginDiscard(offset, length);
                        await node.DiscardAsync(offset, length);
                        break;
                    case 2:
                        await node.FlushAsync();
                        break;
                    case 3 or 4 or 5:
                        OracleRead read = oracle.BeginRead(offset, length);
                        byte[] found = new byte[length];
                        await node.ReadAsync(offset, found);
                        oracle.CompleteRead(read, found);
                        break;
                    default:
                        byte[] data = new byte[length];
                        write = oracle.BeginStampedWrite(offset, data);
                        await node.WriteAsync(offset, data);
                        break;
                }

                if (write is not null)
                {
                    oracle.Complete(write);
                }
            }
            catch (BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
            {
                if (write is not null)
                {
                    oracle.Fail(write);
                }
            }
        }
    }

    private static async Task StreamAsync(QedNode node)
    {
        foreach (int start in WindowStarts())
        {
            for (int offset = start; offset < start + (2 * Window * Cluster); offset += Cluster)
            {
                try
                {
                    if (offset >= BaseLength)
                    {
                        await node.PopulateZeroesAsync(offset, Cluster);
                        continue;
                    }

                    byte[] copy = new byte[Cluster];
                    s_base.AsSpan(offset, Math.Min(Cluster, BaseLength - offset)).CopyTo(copy);
                    await node.PopulateAsync(offset, copy);
                }
                catch (BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
                {
                    // A streamer would try again; here the guests' promises are what matters.
                }
            }
        }
    }

    private static async Task DrainAsync(QedNode node, SimulationScheduler scheduler)
    {
        for (int i = 0; i < 5; i++)
        {
            using (await DrainScope.BeginAsync(node))
            {
                Assert.True(node.Gate.IsIdle);
                await scheduler.StepAsync();
                Assert.True(node.Gate.IsIdle);
            }

            await Task.Delay(TimeSpan.FromSeconds(2), scheduler.Time);
        }
    }

    private static async Task ReadWindowsAsync(QedNode node, SectorOracle oracle)
    {
        foreach (int start in WindowStarts())
        {
            byte[] found = new byte[2 * Window * Cluster];
            OracleRead read = oracle.BeginRead(start, found.Length);
            await node.ReadAsync(start, found);
            oracle.CompleteRead(read, found);
        }
    }

    private static IEnumerable<int> WindowStarts() => Enumerable.Range(1, Tables - 1).Select(table => (table * Reach) - (Window * Cluster));

    private static long PickOffset(SeededRandom random, int length)
    {
        int start = ((1 + random.Next(Tables - 1)) * Reach) - (Window * Cluster);
        return start + (512 * random.Next(((2 * Window * Cluster) - length) / 512));
    }

    private static async Task<SimulatedStorageProvider> CreateAsync(SimulationScheduler scheduler, ulong seed)
    {
        var drawing = new SimulatedStorageProvider();
        var world = new QedWorld { Environment = new QedWorld().Environment with { Files = drawing } };
        await world.CreateAsync(Top, QedWorld.Small(Length) with { Backing = new BackingReference("base.raw", "raw") });
        await world.PatchAsync(Top, 8, 1); // table_size
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = seed });
        storage.AddFile(Top, drawing.ReadFile(Top));
        storage.AddFile(Base, s_base);
        return storage;
    }
}
