using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// Guests use a disk while its graph is drained and filters come and go below them, over a node that takes whole units of 4096 bytes in short transfers:
/// no lost or mixed sector, nobody inside a drain, and nobody waits for ever.
/// </summary>
public class GraphChangeInterleavings
{
    private const int SeedCount = 150;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Guests_do_not_notice_changes_of_the_graph(bool fails)
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler => new World(scheduler, fails).Run());

    private sealed class World
    {
        private const int Changes = 10;
        private const int RequestsPerGuest = 10;
        private const long Length = (40 * 4096) + 512;

        private readonly SimulationScheduler _scheduler;
        private readonly SeededRandom _random;
        private readonly BlockEnvironment _environment;
        private readonly RandomSteps _steps;
        private readonly MemoryOverlayNode _image;
        private readonly UnitNode _units;
        private readonly RootNode _root;
        private readonly GuestCrowd _guests;
        private readonly Stack<PassThroughNode> _filters = [];

        internal World(SimulationScheduler scheduler, bool fails)
        {
            _scheduler = scheduler;
            _random = scheduler.CreateRandom(1);
            _environment = TestEnvironment.Of(scheduler);
            _steps = new RandomSteps(scheduler, _random, fails);
            _image = new MemoryOverlayNode("image", Length, clusterSize: 512 << _random.Next(6), _environment) { Steps = _steps };
            _units = new UnitNode(_image);
            _root = new RootNode(_units);
            _guests = new GuestCrowd(scheduler, _random, _root, new SectorModel(Length, static _ => SectorStamp.Zero), _steps, RequestsPerGuest);
        }

        internal void Run()
        {
            _guests.Spawn();
            _scheduler.Spawn("changes", ChangeAsync);
            _scheduler.Spawn("drains", DrainAsync);
            _scheduler.Run();

            _steps.Fails = false;
            _scheduler.Run(FinishAsync);
        }

        private async Task ChangeAsync()
        {
            for (int i = 0; i < Changes; i++)
            {
                if (_filters.Count == 0 || _random.Next(2) == 0)
                {
                    await InsertAsync();
                }
                else
                {
                    await RemoveAsync(_filters.Pop());
                }
            }
        }

        // Drains of their own, beside those of the changes: they nest.
        private async Task DrainAsync()
        {
            for (int i = 0; i < Changes; i++)
            {
                using DrainScope drain = await DrainScope.BeginAsync(_random.Next(2) == 0 ? _image : _units);
                await AssertNobodyInsideAsync();
            }
        }

        private async Task InsertAsync()
        {
            BlockNode below = _filters.TryPeek(out PassThroughNode? last) ? last : _units;
            below.AddReference();
            var filter = new PassThroughNode(below, ImagePermissions.ConsistentRead, ImagePermissions.All);
            using GraphChange change = await GraphChange.BeginAsync(below, CancellationToken.None);
            await FilterInsertion.InsertAsync(change, below, filter, ImagePermissions.ConsistentRead, ImagePermissions.All);
            _filters.Push(filter);
            await AssertNobodyInsideAsync();
        }

        private async Task RemoveAsync(PassThroughNode filter)
        {
            using (GraphChange change = await GraphChange.BeginAsync(filter, CancellationToken.None))
            {
                await FilterInsertion.RemoveAsync(filter);
            }

            await filter.DisposeAsync();
        }

        private async Task AssertNobodyInsideAsync()
        {
            for (int step = _random.Next(4); step >= 0; step--)
            {
                Assert.True(_image.Gate.IsIdle && _units.Gate.IsIdle && _root.Gate.IsIdle, "somebody is inside a drained part");
                await _scheduler.StepAsync();
            }
        }

        private async Task FinishAsync()
        {
            await _guests.CheckAsync(_root);
            while (_filters.TryPop(out PassThroughNode? filter))
            {
                await RemoveAsync(filter);
            }

            Assert.Same(_units, _root.Filtered.Child);
            Assert.Equal(_root.Filtered, Assert.Single(_units.Parents));
            await _guests.CheckAsync(_root);
            await _root.DisposeAsync();
            Assert.Equal(0, _environment.Buffers.Outstanding);
            await Assert.ThrowsAsync<ObjectDisposedException>(async () => await _image.ReadAsync(0, new byte[1])); // nobody holds it any more
        }
    }

    /// <summary>Shows a node in whole units, so that the base has to read and write around the guests' sectors.</summary>
    private sealed class UnitNode : FilterNode
    {
        internal UnitNode(BlockNode child)
            : base("units", child, ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize, ImagePermissions.All)
            => SetLimits(child.Limits with { RequestAlignment = 4096, MaxTransfer = 16384, DiscardGranularity = 4096 });

        public override string DriverName => "units";
    }
}
