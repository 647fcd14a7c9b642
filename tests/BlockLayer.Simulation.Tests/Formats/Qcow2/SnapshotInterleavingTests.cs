using BlockLayer.Graph;
using BlockLayer.Images;
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
        => SimulationSearch.Run(seeds: Effort.Times(25), scheduler => new World(scheduler, options).Run());

    private sealed class World
    {
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
            var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = scheduler.Seed });
            _how = new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, storage) };
            var image = new NewImage
            {
                Format = "qcow2",
                Length = DiskLength,
                Options = options.Split(',').Select(static option => option.Split('=')).ToDictionary(static pair => pair[0], static pair => pair[1]),
            };
            _disk = scheduler.Run(() => Disk.CreateAsync("/vm/disk", image, _how).AsTask());
        }

        internal void Run()
        {
            for (ulong i = 0; i < 3; i++)
            {
                var guest = new OracleGuest(_disk.Root, _oracle);
                SeededRandom random = _scheduler.CreateRandom(i);
                _scheduler.Spawn($"guest {i}", () => guest.RunAsync(random, requests: 25, new GuestProfile { MaxLength = 12 * 1024 }));
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
                    await ImageSnapshots.DeleteAsync(_disk.Root, known);
                    _snapshots.Remove(known);
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
            var options = new ImageOpenOptions { Format = "qcow2", Snapshot = id, Locking = ImageLocking.Ignore };
            await using BlockNode shown = await new ImageOpener(BuiltInFormats.All, _how.Environment).OpenAsync("/vm/disk", options);
            return await OracleGuest.ReadAllAsync(shown);
        }
    }
}
