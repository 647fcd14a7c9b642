using BlockLayer.Graph;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>
/// A user does something with the snapshots of a domain, guests write both of its disks meanwhile, and the power fails at any moment. The domain is then defined as it was in the beginning,
/// and started: both disks hold what their guests are owed, nothing is left to be ended, and there are no files but those of the disks' chains.
/// </summary>
internal sealed class SnapshotCrashRun : IDisposable
{
    // Writes that are torn are for the jobs' own tests: what is told here are notes, which are replaced whole.
    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 4, RandomSubsets = 3, TornWrites = false };

    // Zeroes and discards would need captures of their own, and the jobs' own crash tests have them.
    private static readonly GuestProfile s_profile = new() { MaxLength = 24 * 1024, Zeroes = 0, Discards = 0, Writes = 4, DurableWrites = 4, Flushes = 1 };

    private const int MaxRounds = 100;

    private readonly SimulationScheduler _scheduler;
    private readonly SectorOracle[] _oracles;
    private readonly CrashRecorder _recorder;
    private bool _isTold;

    /// <summary>Starts the domain, with snapshots from s1 on.</summary>
    internal SnapshotCrashRun(ulong seed, int snapshots, MergeDirection vda, MergeDirection vdb)
    {
        _scheduler = new SimulationScheduler(seed);
        Storage = new SimulatedStorageProvider(_scheduler);
        World = _scheduler.Run(async () =>
        {
            SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Of(_scheduler, Storage));
            for (int i = 1; i <= snapshots; i++)
            {
                await world.SnapshotAsync($"s{i}", vda, vdb);
            }

            foreach (string target in SnapshotWorld.Targets)
            {
                await world.Open(target).FlushAsync();
            }

            return world;
        });
        _oracles = _scheduler.Run(() => Task.WhenAll(SnapshotWorld.Targets.Select(async target => new SectorOracle(SnapshotWorld.DiskLength, await World.ReadAsync(target)))));
        _recorder = new CrashRecorder(Storage) { Observe = () => new Promise([.. _oracles.Select(static oracle => oracle.Snapshot())], _isTold) };
    }

    internal SnapshotWorld World { get; }

    internal SimulatedStorageProvider Storage { get; }

    internal int Points => _recorder.Images.Count;

    public void Dispose() => _recorder.Dispose();

    /// <summary>Lets the user do it, under guests.</summary>
    internal void Run(Func<Task> user)
    {
        for (int i = 0; i < _oracles.Length; i++)
        {
            var guest = new OracleGuest(World.Open(SnapshotWorld.Targets[i]).Root, _oracles[i]);
            SeededRandom random = _scheduler.CreateRandom((ulong)i);
            _scheduler.Spawn($"guest {i}", async () =>
            {
                for (int round = 0; round < MaxRounds && !_isTold; round++)
                {
                    await guest.RunAsync(random, requests: 2, s_profile);
                    if (await World.Api.GetDeletionAsync(World.Domain) is not { MustFinish: true })
                    {
                        await Task.Delay(TimeSpan.FromMilliseconds(5), _scheduler.Time); // jobs wait for busy guests, who are to be there when the disks switch
                    }
                }
            });
        }

        _scheduler.Spawn("user", async () =>
        {
            await user();
            _isTold = true;
            _recorder.Capture("success was told");
        });
        _scheduler.Run();
    }

    /// <summary>
    /// Lets guests write both disks durably when a call to storage is about to take place, which waits for a second: longer than any request that nobody holds back.
    /// </summary>
    /// <param name="moment">The call.</param>
    /// <param name="origin">By which way the requests come.</param>
    internal void WriteWhen(FaultRule moment, Origin origin)
    {
        StorageBreakpoint reached = Storage.Faults.Break(moment);
        _scheduler.Spawn("late guest", async () =>
        {
            await reached.ReachedAsync();
            Task writes = Task.WhenAll(SnapshotWorld.Targets.Select((target, i) => WriteDurablyAsync(World.Open(target).Root, origin, _oracles[i])));
            await Task.WhenAny(writes, Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time));
            reached.Continue();
            await writes;
        });
    }

    /// <summary>Starts the domain again in every state that a crash could leave.</summary>
    /// <param name="check">What more has to hold: given the domain, which runs, and whether the user had been told that it was done.</param>
    /// <returns>How many states there were.</returns>
    internal Task<long> CheckAsync(Func<SnapshotWorld, bool, Task> check) => CrashCheck.RunAsync(_recorder, (state, files) => CheckAsync(state, files, check), s_enumeration);

    /// <summary>The same when the start that follows a crash is interrupted by another, at any moment.</summary>
    internal async Task<long> CheckTwiceAsync(Func<SnapshotWorld, bool, Task> check)
    {
        long states = 0;
        foreach (CrashImage image in _recorder.Images)
        {
            SimulatedStorageProvider files = image.EverythingSurvived.Open();
            using var second = new CrashRecorder(files) { Observe = () => image.Observation };
            await using (SnapshotWorld world = await SnapshotWorld.RestartAsync(SimulatedEnvironment.Inline(files)))
            {
                second.Capture("the domain runs");
            }

            states += await CrashCheck.RunAsync(second, (state, left) => CheckAsync(state, left, check), s_enumeration);
        }

        return states;
    }

    private static async Task WriteDurablyAsync(BlockNode disk, Origin origin, SectorOracle oracle)
    {
        byte[] data = new byte[SnapshotWorld.DiskLength];
        OracleWrite write = oracle.BeginStampedWrite(0, data);
        await disk.WriteAsync(origin, 0, data, WriteFlags.Fua, CancellationToken.None);
        oracle.CompleteDurably(write);
    }

    private async Task CheckAsync(CrashState state, SimulatedStorageProvider files, Func<SnapshotWorld, bool, Task> check)
    {
        var promise = (Promise)state.Image.Observation!;
        await using SnapshotWorld world = await SnapshotWorld.RestartAsync(SimulatedEnvironment.Inline(files));
        world.ShowsAs(World);
        for (int i = 0; i < promise.Oracles.Length; i++)
        {
            promise.Oracles[i].Check(await world.ReadAsync(SnapshotWorld.Targets[i]));
        }

        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Null((await SnapshotStore.OpenAsync("/meta", "vm", files)).Creation);
        AssertChains(world, await world.TreeAsync());
        await check(world, promise.IsTold);
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    // The chains of the disks are what the snapshots that are left say of them, and there are no other files.
    private static void AssertChains(SnapshotWorld world, SnapshotTree tree)
    {
        var chains = new List<string>();
        foreach (string target in SnapshotWorld.Targets)
        {
            string[] expected = [.. tree.All.Select(record => record.Disks.First(disk => disk.Target == target))
                .SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path }).Distinct().Reverse()];
            string[] chain = [.. world.Domain.FindDisk(target).Chain.Select(static element => element.Path)];
            chains.AddRange(chain);
            Assert.True(expected.Length == 0 || expected.SequenceEqual(chain), $"'{target}' is {string.Join(' ', chain)}, and its snapshots say {string.Join(' ', expected)}");
        }

        Assert.Equal(chains.Order(), world.Environment.Files.ListFiles("/vm").Order());
    }

    private sealed record Promise(SectorOracle[] Oracles, bool IsTold);
}
