using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using Xunit;

namespace BlockLayer.Simulation.Tests.Filters;

/// <summary>
/// Every state that a power failure can leave of three files, each with a cache of its own: the mirror opens, its sides are equal again, and no byte is lost that a
/// guest's flush covered.
/// </summary>
public sealed class MirrorCrashTests
{
    private const int GuestCount = 3;

    private static readonly CrashEnumeration s_states = new() { ExhaustiveLimit = 5, RandomSubsets = 16, RandomTornStates = 8 };

    public static TheoryData<MirrorAck, MirrorFlush> Promises
        => new() { { MirrorAck.Both, MirrorFlush.Both }, { MirrorAck.Source, MirrorFlush.Both }, { MirrorAck.Both, MirrorFlush.Source }, { MirrorAck.Source, MirrorFlush.Source } };

    [Theory]
    [MemberData(nameof(Promises))]
    public async Task After_any_crash_the_sides_are_repaired_and_nothing_flushed_is_lost(MirrorAck ack, MirrorFlush flush)
    {
        var options = new MirrorOptions { Ack = ack, Flush = flush, Sync = MirrorSync.AssumeEqual, CleanAfter = TimeSpan.FromSeconds(1) };
        await ExploreAsync($"mirror, ack {ack}, flush {flush}", seeds: 3, options, static (storage, _) => { });
    }

    // Disks are slow, and the log is cleaned all the time: while both sides are flushed for it, guests enter the regions that are about to be forgotten.
    [Fact]
    public async Task A_region_that_is_entered_while_it_is_cleaned_stays_noted()
    {
        var options = new MirrorOptions { Sync = MirrorSync.AssumeEqual, CleanAfter = TimeSpan.FromMilliseconds(1) };
        var slow = new LatencyModel { Fixed = TimeSpan.FromMilliseconds(1), Flush = TimeSpan.FromMilliseconds(4), Jitter = 0.5 };
        await ExploreAsync("mirror, cleaned while written", seeds: 3, options, static (storage, _) => { }, latency: slow, requests: 8);
    }

    // The first open copies a whole disk, and the crash meets the copy and the making of the log as well.
    [Fact]
    public async Task A_crash_during_the_first_copy_is_made_good_by_the_next_open()
        => await ExploreAsync("mirror, first copy", seeds: 2, new MirrorOptions(), static (storage, _) => { });

    [Fact]
    public async Task A_destination_that_was_given_up_is_caught_up_after_a_crash()
    {
        var options = new MirrorOptions { OnDestinationError = MirrorErrorPolicy.Detach, Sync = MirrorSync.AssumeEqual };
        await ExploreAsync("mirror, detached", seeds: 3, options, static (storage, seed) => storage.Faults.Add(new FaultRule
        {
            Operations = StorageOperations.Write,
            Path = MirrorWorld.Destination,
            Skip = 4 + (long)seed,
            Effect = FaultEffect.FailPartly,
        }));
    }

    [Fact]
    public async Task A_resize_is_whole_or_made_good()
    {
        const int Grown = MirrorWorld.Length + 12_288;
        var storage = new SimulatedStorageProvider();
        byte[] expected = new byte[Grown];
        MirrorWorld.AddFiles(storage).CopyTo(expected, 0);
        BlockEnvironment environment = SimulatedEnvironment.Inline(storage);
        await (await MirrorWorld.OpenAsync(environment, new MirrorOptions())).DisposeAsync();
        int promised = MirrorWorld.Length;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => promised };
        await using (MirrorNode mirror = await MirrorWorld.OpenAsync(environment, new MirrorOptions()))
        {
            await mirror.ResizeAsync(Grown);
            await mirror.FlushAsync();
            promised = Grown;
        }

        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, reopened) =>
            {
                (byte[] source, byte[] destination) = await RepairAsync(reopened, new MirrorOptions());
                Assert.InRange(source.Length, (int)state.Image.Observation!, Grown);
                Assert.Equal(source.Length, source.AsSpan().CommonPrefixLength(expected));
                Assert.Equal(source, destination[..source.Length]);
            },
            s_states);
        Print("mirror, resize", recorder.Images.Count, states);
        Assert.InRange(states, 20, 100_000);
    }

    // The checks find what they are for: sides that a crash tore and that nobody repaired.
    [Fact]
    public async Task Without_a_log_a_torn_mirror_goes_unnoticed()
    {
        var options = new MirrorOptions { Sync = MirrorSync.AssumeEqual };
        CrashCheckException torn = await Assert.ThrowsAsync<CrashCheckException>(
            () => ExploreAsync("mirror without a log", seeds: 4, options, static (_, _) => { }, withLog: false));
        Assert.Contains("the sides differ", torn.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(MirrorWorld.Log)]
    [InlineData(MirrorWorld.Destination)]
    public async Task A_file_whose_flushes_lie_is_noticed(string path)
    {
        // A log that lies forgets to name regions; a destination that lies loses what the log has forgotten already.
        var options = new MirrorOptions { Sync = MirrorSync.AssumeEqual, CleanAfter = TimeSpan.FromMilliseconds(1) };
        CrashCheckException torn = await Assert.ThrowsAsync<CrashCheckException>(
            () => ExploreAsync("mirror, lying flushes", seeds: 20, options, (storage, _) => storage.Faults.Add(new FaultRule
            {
                Operations = StorageOperations.Flush,
                Path = path,
                Effect = FaultEffect.Lie,
            })));
        Assert.Contains("the sides differ", torn.Message, StringComparison.Ordinal);
    }

    private static async Task ExploreAsync(
        string operation,
        int seeds,
        MirrorOptions options,
        Action<SimulatedStorageProvider, ulong> plan,
        bool withLog = true,
        LatencyModel? latency = null,
        int requests = 4)
    {
        (int points, long states) = (0, 0);
        for (ulong seed = 1; seed <= (ulong)seeds; seed++)
        {
            var scheduler = new SimulationScheduler(seed);
            var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Latency = latency ?? LatencyModel.Immediate });
            byte[] initial = MirrorWorld.AddFiles(storage);
            if (options.Sync == MirrorSync.AssumeEqual)
            {
                storage.AddFile(MirrorWorld.Destination, initial);
            }

            plan(storage, seed);
            var oracle = new SectorOracle(MirrorWorld.Length, initial);
            using var recorder = new CrashRecorder(storage, oracle);
            scheduler.Run(() => LiveAsync(scheduler, storage, oracle, options, withLog, requests));
            states += await CrashCheck.RunAsync(
                recorder,
                async (state, reopened) =>
                {
                    (byte[] source, byte[] destination) = await RepairAsync(reopened, options, withLog);
                    ((SectorOracle)state.Image.Observation!).Check(source);
                    Assert.True(source.AsSpan().SequenceEqual(destination), $"the sides differ at byte {source.AsSpan().CommonPrefixLength(destination)}");
                },
                s_states);
            points += recorder.Images.Count;
        }

        Print(operation, points, states);
        Assert.InRange(states, 100, 1_000_000);
    }

    private static async Task LiveAsync(
        SimulationScheduler scheduler,
        SimulatedStorageProvider storage,
        SectorOracle oracle,
        MirrorOptions options,
        bool withLog,
        int requests)
    {
        await using MirrorNode mirror = await MirrorWorld.OpenAsync(SimulatedEnvironment.Of(scheduler, storage), options, withLog);
        var profile = new GuestProfile { MaxLength = 6 * 1024, Reads = 1 };
        for (int round = 0; round < 2; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, GuestCount).Select(
                guest => new OracleGuest(mirror, oracle).RunAsync(scheduler.CreateRandom((ulong)((10 * round) + guest)), requests, profile)));
            await Task.Delay(TimeSpan.FromSeconds(3), scheduler.Time); // the log is cleaned meanwhile, then written again
        }
    }

    /// <summary>Opens the mirror after a crash as anybody would, closes it, and reads the bytes of both files.</summary>
    private static async Task<(byte[] Source, byte[] Destination)> RepairAsync(SimulatedStorageProvider storage, MirrorOptions options, bool withLog = true)
    {
        await using (MirrorNode mirror = await MirrorWorld.OpenAsync(SimulatedEnvironment.Inline(storage), options, withLog))
        {
            Assert.Equal(0, mirror.Status.DifferingBytes);
            Assert.Equal(0, mirror.Status.DirtyBytes);
        }

        return (storage.ReadFile(MirrorWorld.Source), storage.ReadFile(MirrorWorld.Destination));
    }

    private static void Print(string operation, int points, long states)
        => CrashTable.Print(operation, points, states, "sides equal after the next open, nothing flushed lost");
}
