using BlockLayer.Formats.Qcow2;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Guests that work on one image at the same time, under many schedules, and the crashes in between.</summary>
public sealed class Qcow2InterleavingTests
{
    private static readonly ImageGeometry[] s_geometries =
    [
        new(Version: 3, ClusterSize: 4096, RefcountBits: 16, Length: 96 * 1024, BackingLength: 0),
        new(Version: 3, ClusterSize: 1024, RefcountBits: 1, Length: 64 * 1024, BackingLength: 40 * 1024),
        new(Version: 3, ClusterSize: 512, RefcountBits: 64, Length: 64 * 1024, BackingLength: 80 * 1024),
        new(Version: 2, ClusterSize: 2048, RefcountBits: 16, Length: 64 * 1024, BackingLength: 64 * 1024),
        new(Version: 2, ClusterSize: 512, RefcountBits: 16, Length: 48 * 1024, BackingLength: 0),
        new(Version: 3, ClusterSize: 32 * 1024, RefcountBits: 16, Length: 80 * 1024, BackingLength: 0, ExtendedL2: true),
        new(Version: 3, ClusterSize: 16 * 1024, RefcountBits: 1, Length: 64 * 1024, BackingLength: 40 * 1024, ExtendedL2: true),
        new(Version: 3, ClusterSize: 16 * 1024, RefcountBits: 16, Length: 64 * 1024, BackingLength: 64 * 1024, ExtendedL2: true, Preallocation.Metadata),
        new(Version: 3, ClusterSize: 4096, RefcountBits: 16, Length: 64 * 1024, BackingLength: 40 * 1024, DataFile: DataFileLayout.Clusters),
        new(Version: 3, ClusterSize: 16 * 1024, RefcountBits: 16, Length: 64 * 1024, BackingLength: 40 * 1024, ExtendedL2: true, DataFile: DataFileLayout.Clusters),
        new(Version: 3, ClusterSize: 2048, RefcountBits: 16, Length: 64 * 1024, BackingLength: 0, DataFile: DataFileLayout.Raw),
        new(Version: 3, ClusterSize: 4096, RefcountBits: 16, Length: 64 * 1024, BackingLength: 40 * 1024, Encryption: EncryptionMethod.Aes),
    ];

    public static TheoryData<int> Geometries => [.. Enumerable.Range(0, s_geometries.Length)];

    [Theory]
    [MemberData(nameof(Geometries))]
    public void Guests_at_the_same_time_see_what_they_wrote(int geometry)
        => SimulationSearch.Run(seeds: Effort.Times(40), scheduler =>
        {
            using var world = new Qcow2World(scheduler, s_geometries[geometry]);
            world.Run(requestsPerGuest: 40);
        });

    [Theory]
    [MemberData(nameof(Geometries))]
    public void Guests_whose_requests_fail_now_and_then_lose_nothing_that_was_acknowledged(int geometry)
    {
        long hits = 0;
        SimulationSearch.Run(seeds: Effort.Times(40), scheduler =>
        {
            using var world = new Qcow2World(scheduler, s_geometries[geometry]);
            world.AddFaults(probability: 0.03);
            world.Run(requestsPerGuest: 40);
            hits += world.FaultHits;
        });
        Assert.True(hits > 0, "no request failed");
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public void Guests_that_give_up_on_requests_leave_nobody_waiting_and_nothing_leaked(int geometry)
        => SimulationSearch.Run(seeds: 40, scheduler =>
        {
            using var world = new Qcow2World(scheduler, s_geometries[geometry]);
            world.AddImpatience();
            world.Run(requestsPerGuest: 40);
        });

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task After_any_crash_of_a_disk_with_faults_it_holds_what_was_promised(int geometry)
    {
        long hits = 0;
        for (ulong seed = 100; seed < 104; seed++)
        {
            using var world = new Qcow2World(new SimulationScheduler(seed), s_geometries[geometry]);
            world.AddFaults(probability: 0.05);
            world.Run(requestsPerGuest: 7);
            hits += world.FaultHits;
            await world.CheckCrashesAsync(new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 24, TornWrites = false });
        }

        Assert.True(hits > 0, "no request failed");
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task After_a_flush_that_failed_the_disk_holds_what_was_promised_before(int geometry)
    {
        (int points, long total, long hits) = (0, 0, 0);
        for (ulong seed = 200; seed < 202; seed++)
        {
            using var world = new Qcow2World(new SimulationScheduler(seed), s_geometries[geometry]);
            world.AddFlushFault();
            world.Run(requestsPerGuest: 14);
            hits += world.FaultHits;
            total += await world.CheckCrashesAsync(new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 24, TornWrites = false });
            points += world.Recorder.Images.Count;
        }

        Assert.True(hits > 0, "no flush failed");
        CrashTable.Print($"qcow2 {s_geometries[geometry]}: a flush that fails", points, total, $"flushed or later, {hits} flushes failed");
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task After_any_crash_the_disk_holds_what_was_promised_and_goes_on(int geometry)
    {
        (int points, long total) = (0, 0);
        for (ulong seed = 0; seed < 6; seed++)
        {
            using var world = new Qcow2World(new SimulationScheduler(seed), s_geometries[geometry]);
            world.Run(requestsPerGuest: 7);
            long states = await world.CheckCrashesAsync(new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 24, RandomTornStates = 8, TornWrites = false });
            Assert.True(states > 10, "a run without crash points proves nothing");
            (points, total) = (points + world.Recorder.Images.Count, total + states);
        }

        CrashTable.Print($"qcow2 {s_geometries[geometry]}: guests", points, total, "flushed or later");
    }

    [Fact]
    public async Task Reusing_released_clusters_at_once_is_noticed()
    {
        int broken = 0;
        for (ulong seed = 0; seed < 12; seed++)
        {
            try
            {
                using var world = new Qcow2World(new SimulationScheduler(seed), s_geometries[0], new AtOnce());
                world.Run(requestsPerGuest: 10);
                await world.CheckCrashesAsync(new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 24, TornWrites = false });
            }
            catch (Exception error) when (error is CrashCheckException or SectorOracleException)
            {
                broken++;
            }
        }

        Assert.True(broken > 0, "the tests would not notice a missing quarantine");
    }

    /// <summary>The mistake the quarantine is there to prevent.</summary>
    private sealed class AtOnce : ClusterReusePolicy
    {
        internal override bool MayReuse(ReleasedRun released, long durableDrop, long epoch) => true;
    }
}
