using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>
/// A snapshot of two disks is deleted under guests, and the power fails at any moment. The domain is then defined as it was in the beginning, and started: both disks hold what their
/// guests are owed; either the snapshot is there, unmarked, with all of its files, or it is gone with those that go; and the other snapshot shows what it did.
/// </summary>
public class SnapshotDeletionCrashTests
{
    // Writes that are torn are for the jobs' own tests: what is told here are notes, which are replaced whole.
    private const int MaxRounds = 100;

    // Zeroes and discards would need captures of their own, and the jobs' own crash tests have them.
    private static readonly GuestProfile s_profile = new() { MaxLength = 24 * 1024, Zeroes = 0, Discards = 0, Writes = 4, DurableWrites = 4, Flushes = 1 };

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 4, RandomSubsets = 3, TornWrites = false };

    [Theory]
    [InlineData("s2", Backward, Backward)]
    [InlineData("s2", Forward, Backward)]
    [InlineData("s1", Backward, Forward)]
    public async Task After_any_crash_the_next_start_finishes_or_takes_back(string snapshot, MergeDirection vda, MergeDirection vdb)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 1; seed <= (ulong)Effort.Times(5); seed++)
        {
            (int seen, long tried) = await RunAsync(seed, snapshot, vda, vdb);
            points += seen;
            states += tried;
        }

        string where = snapshot == "s2" ? "current" : "older";
        CrashTable.Print($"snapshot delete: {where}, vda {vda}, vdb {vdb}".ToLowerInvariant(), points, states, "both disks owed data, deleted or not at all");
        Assert.True(states > 200, $"{states} states");
    }

    [Fact]
    public async Task A_crash_of_a_snapshot_leaves_the_disks_before_or_after_it()
    {
        (int points, long states) = await RunAsync(seed: 1, snapshot: null, Backward, Backward);
        CrashTable.Print("snapshot create: two disks", points, states, "both disks owed data, made of both or of none");
        Assert.True(states > 100, $"{states} states");
    }

    // A disk whose flushes lie loses what was merged, so a test that does not notice proves nothing.
    [Fact]
    public async Task A_staying_file_whose_flushes_lie_is_noticed()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/a.s1", Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, "s2", Backward, Backward, lie));
    }

    // The note of the active image is what tells the next start where the guest's data is.
    [Fact]
    public async Task Notes_whose_flushes_lie_are_noticed()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = "/meta/vm.snapshots.xml.new", Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, "s2", Backward, Backward, lie));
    }

    private static async Task<(int Points, long States)> RunAsync(ulong seed, string? snapshot, MergeDirection vda, MergeDirection vdb, FaultRule? fault = null)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler);
        SnapshotWorld world = scheduler.Run(() => PrepareAsync(SimulatedEnvironment.Of(scheduler, storage), snapshot is null ? 0 : 2, vda, vdb));
        SectorOracle[] oracles = scheduler.Run(() => Task.WhenAll(SnapshotWorld.Targets.Select(async target => new SectorOracle(SnapshotWorld.DiskLength, await world.ReadAsync(target)))));
        if (fault is not null)
        {
            storage.Faults.Add(fault);
        }

        bool isTold = false;
        using var recorder = new CrashRecorder(storage);
        recorder.Observe = () => new Promise([.. oracles.Select(static oracle => oracle.Snapshot())], isTold);
        for (int i = 0; i < oracles.Length; i++)
        {
            var guest = new OracleGuest(world.Open(SnapshotWorld.Targets[i]).Root, oracles[i]);
            SeededRandom random = scheduler.CreateRandom((ulong)i);
            scheduler.Spawn($"guest {i}", async () =>
            {
                for (int round = 0; round < MaxRounds && !isTold; round++)
                {
                    await guest.RunAsync(random, requests: 2, s_profile);
                    if (await world.Api.GetDeletionAsync(world.Domain) is not { MustFinish: true })
                    {
                        await Task.Delay(TimeSpan.FromMilliseconds(5), scheduler.Time); // jobs wait for busy guests, who are to be there when the disks switch
                    }
                }
            });
        }

        scheduler.Spawn("user", async () =>
        {
            if (snapshot is null)
            {
                await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", vda, vdb));
            }
            else
            {
                await world.Api.DeleteAsync(world.Domain, snapshot);
            }

            isTold = true;
            recorder.Capture("success was told");
        });
        scheduler.Run();
        long states = await CrashCheck.RunAsync(recorder, (state, files) => CheckAsync(state, files, world, snapshot), s_enumeration);
        return (recorder.Images.Count, states);
    }

    private static async Task<SnapshotWorld> PrepareAsync(BlockEnvironment environment, int snapshots, MergeDirection vda, MergeDirection vdb)
    {
        SnapshotWorld world = await SnapshotWorld.StartAsync(environment);
        for (int i = 1; i <= snapshots; i++)
        {
            await world.SnapshotAsync($"s{i}", vda, vdb);
        }

        foreach (string target in SnapshotWorld.Targets)
        {
            await world.Open(target).FlushAsync();
        }

        return world;
    }

    private static async Task CheckAsync(CrashState state, SimulatedStorageProvider files, SnapshotWorld before, string? snapshot)
    {
        var promise = (Promise)state.Image.Observation!;
        await using SnapshotWorld world = await SnapshotWorld.RestartAsync(SimulatedEnvironment.Inline(files));
        world.ShowsAs(before);
        for (int i = 0; i < promise.Oracles.Length; i++)
        {
            promise.Oracles[i].Check(await world.ReadAsync(SnapshotWorld.Targets[i]));
        }

        SnapshotTree tree = await world.TreeAsync();
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        bool isThere = tree.TryFind(snapshot ?? "s1") is not null;
        Assert.False(promise.IsTold && isThere == snapshot is not null, "success was told");
        AssertChain(world, "vda", tree);
        AssertChain(world, "vdb", tree);
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    // The chain of a disk is what the snapshots that are left say of it, and files that went are gone.
    private static void AssertChain(SnapshotWorld world, string target, SnapshotTree tree)
    {
        string[] expected = [.. tree.All.Select(record => record.Disks.First(disk => disk.Target == target))
            .SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path }).Distinct().Reverse()];
        string[] chain = [.. world.Domain.FindDisk(target).Chain.Select(static element => element.Path)];
        if (expected.Length > 0)
        {
            Assert.Equal(expected, chain);
            string prefix = chain[^1][..6];
            Assert.Equal(chain.Order(), world.Environment.Files.ListFiles("/vm").Where(path => path.StartsWith(prefix, StringComparison.Ordinal)).Order());
        }
        else
        {
            Assert.Single(chain);
        }
    }

    private sealed record Promise(SectorOracle[] Oracles, bool IsTold);
}
