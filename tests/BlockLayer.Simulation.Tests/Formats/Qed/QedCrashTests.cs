using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qed;

/// <summary>
/// Every state that a power failure can leave of an overlay: each sector as promised, no table damaged, leaks only where the header says so, and it can be
/// written again.
/// </summary>
public class QedCrashTests
{
    private const int Cluster = QedWorld.Cluster;
    private const int Length = (10 * Cluster) + 512;
    private const int BaseLength = (6 * Cluster) + 1024;
    private const string Top = "/top.qed";
    private const string Base = "/base.raw";

    private static readonly CrashEnumeration s_states = new() { ExhaustiveLimit = 6, RandomSubsets = 40, RandomTornStates = 12 };

    [Fact]
    public void Guests_and_copies_from_below_survive_every_crash()
        => Seeds.Check(
            $"{nameof(QedCrashTests)}.{nameof(Guests_and_copies_from_below_survive_every_crash)}",
            12,
            seed => CheckGuests(seed, lyingFlushes: false));

    [Fact]
    public void A_disk_that_lies_about_flushes_is_caught()
    {
        int caught = 0;
        for (ulong seed = 1; seed <= 4; seed++)
        {
            try
            {
                CheckGuests(seed, lyingFlushes: true);
            }
            catch (CrashCheckException)
            {
                caught++;
            }
        }

        Assert.Equal(4, caught);
    }

    [Fact]
    public async Task A_changed_backing_name_is_the_old_one_or_the_new_one()
    {
        var old = new BackingReference("base.raw", "raw");
        BackingReference[] names = [old, new(new string('n', 1000), "raw"), new("other.qcow2", null) { DecidedByMagic = true }];
        SimulatedStorageProvider storage = await CreateAsync(new SimulatedStorageProvider());
        int recorded = 0;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => recorded };
        await using (QedNode node = await new QedWorld { Environment = EnvironmentOf(storage) }.OpenAsync(Top))
        {
            for (int i = 1; i < names.Length; i++)
            {
                await node.RecordBackingAsync(names[i], CancellationToken.None);
                recorded = i;
            }
        }

        long states = await CrashCheck.RunAsync(recorder, async (state, reopened) =>
        {
            await using QedNode node = await new QedWorld { Environment = EnvironmentOf(reopened) }.OpenAsync(Top, access: NodeAccess.ReadOnly);
            int promised = (int)state.Image.Observation!;
            Assert.Contains(node.BackingReference, names.Skip(promised).Take(2));
        });
        Assert.InRange(states, 20, 10_000);
        CrashTable.Print("qed: another backing file, twice", recorder, states, "old or new name");
    }

    [Fact]
    public async Task A_grown_disk_has_its_old_length_or_zeroes_although_the_base_goes_on()
    {
        const int Short = (2 * Cluster) + 512;
        SimulatedStorageProvider storage = await CreateAsync(new SimulatedStorageProvider(), Short);
        int promised = Short;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => promised };
        await using (QedNode node = await new QedWorld { Environment = EnvironmentOf(storage) }.OpenAsync(Top, Base))
        {
            await node.ResizeAsync(Length);
            promised = Length;
        }

        byte[] grown = new byte[Length];
        BaseContent().AsSpan(0, Short).CopyTo(grown);
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, reopened) =>
            {
                byte[] found = await ReadAndCheckAsync(reopened);
                Assert.True(found.Length == Length || (found.Length == Short && (int)state.Image.Observation! == Short), $"{found.Length} bytes long");
                Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(grown));
            },
            s_states);
        Assert.InRange(states, 20, 100_000);
        CrashTable.Print("qed: growth over a longer backing file", recorder, states, "old or new length, no errors");
    }

    private static void CheckGuests(ulong seed, bool lyingFlushes)
    {
        var scheduler = new SimulationScheduler(seed);
        SimulatedStorageProvider storage = CreateAsync(new SimulatedStorageProvider(scheduler)).GetAwaiter().GetResult();
        if (lyingFlushes)
        {
            storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = Top, Probability = 0.5, Effect = FaultEffect.Lie });
        }

        var oracle = new SectorOracle(Length, BaseContent());
        using var recorder = new CrashRecorder(storage, oracle);
        scheduler.Run(async () =>
        {
            var environment = new BlockEnvironment { Files = storage, Work = scheduler.Work, Time = scheduler.Time };
            await using QedNode node = await new QedWorld { Environment = environment }.OpenAsync(Top, Base);
            for (int round = 0; round < 3; round++)
            {
                await Task.WhenAll(ActAsync(round, 1), ActAsync(round, 2), CopyAsync(node, round, scheduler.CreateRandom(90 + (ulong)round)));
                await Task.Delay(TimeSpan.FromSeconds(round * 4), scheduler.Time); // the second time NEED_CHECK is cleared meanwhile
            }

            Task ActAsync(int round, int guest) => GuestAsync(node, oracle, scheduler.CreateRandom((ulong)((10 * round) + guest)));
        });
        long states = CrashCheck.RunAsync(recorder, VerifyAsync, s_states).GetAwaiter().GetResult();
        Assert.InRange(states, 100, 1_000_000);
        CrashTable.Print($"qed: guests and copies from below, seed {seed}", recorder, states, "flushed or later, no errors");
    }

    private static async Task GuestAsync(QedNode node, SectorOracle oracle, SeededRandom random)
    {
        for (int step = 0; step < 4; step++)
        {
            int length = 512 * (1 + random.Next(random.Chance(0.3) ? 20 : 3));
            long offset = 512 * random.Next((Length - length) / 512);
            switch (random.Next(8))
            {
                case 0:
                    OracleWrite zeroes = oracle.BeginWriteZeroes(offset, length);
                    await node.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                    oracle.Complete(zeroes);
                    break;
                case 1:
                    OracleWrite discard = oracle.BeginDiscard(offset, length);
                    await node.DiscardAsync(offset, length);
                    oracle.Complete(discard);
                    break;
                case 2 or 3:
                    long flush = oracle.BeginFlush();
                    await node.FlushAsync();
                    oracle.CompleteFlush(flush);
                    break;
                case 4:
                    byte[] durable = new byte[length];
                    OracleWrite forced = oracle.BeginStampedWrite(offset, durable);
                    await node.WriteAsync(offset, durable, WriteFlags.Fua);
                    oracle.CompleteDurably(forced);
                    break;
                default:
                    byte[] data = new byte[length];
                    OracleWrite write = oracle.BeginStampedWrite(offset, data);
                    await node.WriteAsync(offset, data);
                    oracle.Complete(write);
                    break;
            }
        }
    }

    // A streamer stores what the base has, here and there, while guests write.
    private static async Task CopyAsync(QedNode node, int round, SeededRandom random)
    {
        byte[] content = new byte[Length];
        BaseContent().CopyTo(content, 0);
        for (int cluster = round; cluster * Cluster < Length; cluster += 3)
        {
            int offset = cluster * Cluster;
            int length = Math.Min(Cluster * (1 + random.Next(2)), Length - offset);
            if (offset >= BaseLength)
            {
                await node.PopulateZeroesAsync(offset, length);
            }
            else
            {
                await node.PopulateAsync(offset, content.AsMemory(offset, length));
            }
        }
    }

    private static async Task VerifyAsync(CrashState state, SimulatedStorageProvider storage)
    {
        bool mayLeak = QedHeader.Parse(storage.ReadFile(Top)).NeedsCheck;
        byte[] found = await ReadAndCheckAsync(storage, mayLeak);
        ((SectorOracle)state.Image.Observation!).Check(found);

        // The image goes on living: it opens to be written, keeps its content, and is clean when closed.
        var world = new QedWorld { Environment = EnvironmentOf(storage) };
        byte[] news = GuestStamp.Create(Cluster, 2 * Cluster, writer: 999);
        await using (QedNode node = await world.OpenAsync(Top, Base))
        {
            await node.WriteAsync(Cluster, news);
            news.CopyTo(found, Cluster);
        }

        byte[] again = await ReadAndCheckAsync(storage);
        Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(again));
        Assert.False(QedHeader.Parse(storage.ReadFile(Top)).NeedsCheck);
    }

    private static async Task<byte[]> ReadAndCheckAsync(SimulatedStorageProvider storage, bool mayLeak = true)
    {
        await using QedNode node = await new QedWorld { Environment = EnvironmentOf(storage) }.OpenAsync(Top, Base, NodeAccess.ReadOnly);
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(check.Corruptions == 0, string.Join(' ', check.Findings));
        Assert.True(mayLeak || check.Leaks == 0, $"{check.Leaks} leaks in an image that says it is clean");
        return content;
    }

    private static async Task<SimulatedStorageProvider> CreateAsync(SimulatedStorageProvider storage, int length = Length)
    {
        var drawing = new SimulatedStorageProvider();
        QedCreateOptions options = QedWorld.Small(length) with { Backing = new BackingReference("base.raw", "raw") };
        await new QedWorld { Environment = EnvironmentOf(drawing) }.CreateAsync(Top, options);
        storage.AddFile(Top, drawing.ReadFile(Top));
        storage.AddFile(Base, BaseContent());
        return storage;
    }

    private static byte[] BaseContent() => GuestStamp.Create(0, BaseLength, writer: 1_000_000);

    private static BlockEnvironment EnvironmentOf(SimulatedStorageProvider storage) => new QedWorld().Environment with { Files = storage };
}
