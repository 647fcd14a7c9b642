using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// Snapshots of a disk that guests use at the same time, under many schedules: a snapshot holds, in every sector, what the disk held at one moment of its creation, and never changes
/// again; guests never notice, unless one is applied.
/// </summary>
public sealed class SnapshotInterleavingTests
{
    private const int DiskLength = 64 * 1024;
    private const int Rounds = 7;

    [Theory]
    [InlineData("cluster_size=4096")]
    [InlineData("cluster_size=512,compat=0.10")]
    [InlineData("cluster_size=1024,refcount_bits=8")]
    [InlineData("cluster_size=16384,extended_l2=on")]
    public void A_disk_in_use_is_snapshotted_under_any_schedule(string options)
        => SimulationSearch.Run(seeds: Effort.Times(25), scheduler => new World(scheduler, options).Run(requests: 25));

    [Theory]
    [InlineData("cluster_size=4096")]
    [InlineData("cluster_size=16384,extended_l2=on")]
    public async Task After_any_crash_of_a_disk_in_use_it_and_its_snapshots_hold_what_was_promised(string options)
    {
        for (ulong seed = 0; seed < 3; seed++)
        {
            var world = new World(new SimulationScheduler(seed), options);
            using CrashRecorder recorder = world.Record();
            world.Run(requests: 8);
            long states = await world.CheckCrashesAsync(recorder);
            CrashTable.Print($"qcow2, {options}, guests and snapshots, seed {seed}", recorder, states, "what was promised, no errors");
            Assert.True(states > 100, "a run without crash points proves nothing");
        }
    }

    private sealed class World
    {
        private readonly SimulatedStorageProvider _storage;
        private readonly SimulationScheduler _scheduler;
        private readonly SeededRandom _random;
        private readonly DiskOptions _how;
        private readonly SectorOracle _oracle = new(DiskLength);
        private readonly Dictionary<string, byte[]> _snapshots = [];
        private readonly Disk _disk;

        internal World(SimulationScheduler scheduler, string options)
        {
            _scheduler = scheduler;
            _random = scheduler.CreateRandom(40);
            _storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = scheduler.Seed });
            _how = new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, _storage) };
            var image = new NewImage
            {
                Format = "qcow2",
                Length = DiskLength,
                Options = options.Split(',').Select(static option => option.Split('=')).ToDictionary(static pair => pair[0], static pair => pair[1]),
            };
            _disk = scheduler.Run(() => Disk.CreateAsync("/vm/disk", image, _how).AsTask());
        }

        /// <summary>Records what a crash could leave from now on, and what was promised at each moment.</summary>
        internal CrashRecorder Record()
            => new(_storage, _oracle) { Observe = () => new Promise(_oracle.Snapshot(), new Dictionary<string, byte[]>(_snapshots)) };

        /// <summary>Tries every state that a crash could have left.</summary>
        internal Task<long> CheckCrashesAsync(CrashRecorder recorder)
            => CrashCheck.RunAsync(
                recorder,
                async (state, crashed) =>
                {
                    var promised = (Promise)state.Image.Observation!;
                    BlockEnvironment environment = SimulatedEnvironment.Inline(crashed);
                    await using BlockNode image = await OpenAsync(environment, snapshot: null);
                    promised.Disk.Check(await OracleGuest.ReadAllAsync(image));
                    ImageCheckReport report = await ImageChecker.CheckAsync(image);
                    Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
                    foreach ((string id, byte[] content) in promised.Snapshots)
                    {
                        await using BlockNode shown = await OpenAsync(environment, id);
                        Assert.True((await OracleGuest.ReadAllAsync(shown)).AsSpan().SequenceEqual(content), $"snapshot {id} differs");
                    }
                },
                new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 4, TornWrites = false });

        internal void Run(int requests)
        {
            for (ulong i = 0; i < 3; i++)
            {
                var guest = new OracleGuest(_disk.Root, _oracle);
                SeededRandom random = _scheduler.CreateRandom(i);
                _scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests, new GuestProfile { MaxLength = 12 * 1024 }));
            }

            _scheduler.Spawn("keeper", async () =>
            {
                for (int round = 0; round < Rounds; round++)
                {
                    await RoundAsync();
                }
            });
            _scheduler.Run();
            _scheduler.Run(FinishAsync);
        }

        private async Task RoundAsync()
        {
            string? known = _snapshots.Count == 0 ? null : _snapshots.Keys.ElementAt(_random.Next(_snapshots.Count));
            switch (_random.Next(4))
            {
                case 2 when known is not null:
                    OracleWrite write = _oracle.BeginWrite(0, _snapshots[known]);
                    await ImageSnapshots.ApplyAsync(_disk.Root, known);
                    _oracle.CompleteDurably(write);
                    break;
                case 3 when known is not null:
                    _snapshots.Remove(known); // from now on nothing is promised of it
                    await ImageSnapshots.DeleteAsync(_disk.Root, known);
                    break;
                default:
                    // What the snapshot holds is what a read of the whole disk, begun before and ended behind its creation, may return.
                    OracleRead read = _oracle.BeginRead(0, DiskLength);
                    SnapshotInfo made = await ImageSnapshots.CreateAsync(_disk.Root, "busy");
                    byte[] content = await ReadSnapshotAsync(made.Id);
                    _oracle.CompleteRead(read, content);
                    _snapshots.Add(made.Id, content);
                    break;
            }
        }

        private async Task FinishAsync()
        {
            foreach ((string id, byte[] content) in _snapshots)
            {
                byte[] found = await ReadSnapshotAsync(id);
                Assert.True(found.AsSpan().SequenceEqual(content), $"snapshot {id} has changed");
            }

            _oracle.Check(await OracleGuest.ReadAllAsync(_disk.Root));
            ImageCheckReport report = await ImageChecker.CheckAsync(_disk.Root);
            Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
            await _disk.DisposeAsync();
        }

        // The keeper's second open of the file takes no lock: nothing but snapshots is read through it, and those do not move.
        private async Task<byte[]> ReadSnapshotAsync(string id)
        {
            await using BlockNode shown = await OpenAsync(_how.Environment, id);
            return await OracleGuest.ReadAllAsync(shown);
        }

        private static ValueTask<BlockNode> OpenAsync(BlockEnvironment environment, string? snapshot)
            => new ImageOpener(BuiltInFormats.All, environment).OpenAsync("/vm/disk", new ImageOpenOptions { Format = "qcow2", Snapshot = snapshot, Locking = ImageLocking.Ignore });

        private sealed record Promise(SectorOracle Disk, Dictionary<string, byte[]> Snapshots);
    }
}
