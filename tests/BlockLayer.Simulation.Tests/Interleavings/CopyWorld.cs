using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One seeded run: guests read, write, zero, discard and flush an image under a copy-on-read filter while a copier fills it from its chain. Every read
/// is checked against what the disk may hold, and the end against everything that was acknowledged.
/// </summary>
internal sealed class CopyWorld
{
    private const int RequestsPerGuest = 12;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly ChainPlan _chain;
    private readonly CopyOnReadNode _filter;
    private readonly GuestCrowd _guests;
    private readonly RandomSteps _steps;
    private readonly BlockNode? _bottom;

    internal CopyWorld(SimulationScheduler scheduler, CopyStrategy strategy, CopyWorldFaults faults)
    {
        _scheduler = scheduler;
        _random = _scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(_scheduler);
        _chain = new ChainPlan(_environment, _random);
        _bottom = _random.Next(2) == 0 ? _chain.MiddleNode : null;
        _chain.TopNode.PopulatesBlindly = faults == CopyWorldFaults.BlindPopulate;
        long memory = _random.Next(3) == 0 ? 1 : 16 * 65536;
        _filter = CopyOnReadNode.Create(_chain.TopNode, _bottom, new CopyOnReadOptions { Strategy = strategy, MemoryLimit = memory });
        _steps = new RandomSteps(_scheduler, _random, faults == CopyWorldFaults.Failures);
        _chain.TopNode.Steps = _steps;
        _chain.MiddleNode.Steps = _steps;
        _chain.BaseNode.Steps = _steps;
        _guests = new GuestCrowd(_scheduler, _random, _filter, new SectorModel(_chain.Length, _chain.WriterAt), _steps, RequestsPerGuest);
    }

    /// <summary>What the run made the queue do.</summary>
    internal CopyStatistics Statistics => _filter.Statistics;

    internal void Run()
    {
        _guests.Spawn();
        _scheduler.Spawn("copier", CopyAllAsync);
        _scheduler.Run();

        _steps.Fails = false;
        _scheduler.Run(FinishAsync);
    }

    private async Task CopyAllAsync()
    {
        int unit = _filter.CopyUnit;
        for (long at = 0; at < _chain.Length; at += unit)
        {
            await _filter.Guests.WaitForTurnAsync(CancellationToken.None);
            ByteRange range = new ByteRange(at, unit).ClampTo(_chain.Length);
            CopyOutcome outcome = await _filter.CopyUpAsync(Origin.Door, range, unit, CancellationToken.None);
            Assert.True(outcome.Error is null || (_steps.Fails && outcome.Error.Message == RandomSteps.Message), outcome.Error?.ToString());
        }
    }

    // Nothing fails any more and nobody interferes: what is left is copied, all is let go, and the image alone holds what the model says.
    private async Task FinishAsync()
    {
        using (await DrainScope.BeginAsync(_filter))
        {
            Assert.True(_filter.Queue.IsIdle, "claims are left behind");
            Assert.Equal(0, _filter.Queue.Memory.Reserved);
            Assert.Equal(0, _environment.Buffers.Outstanding);
        }

        await CopyAllAsync();
        List<CopyExtent> lacking = await CopyPlan.MakeAsync(_chain.TopNode, _bottom, new ByteRange(0, _chain.Length), CancellationToken.None);
        Assert.Empty(lacking);
        await _guests.CheckAsync(_filter);
        _chain.TopNode.AddReference();
        await _filter.DisposeAsync(); // it keeps the links as they are
        if (_bottom is null)
        {
            await _chain.TopNode.DetachAsync(_chain.TopNode.BackingEdge!);
        }
        else
        {
            BlockNode below = _chain.BaseNode;
            below.AddReference();
            await _chain.TopNode.ReplaceChild(_chain.TopNode.BackingEdge!, below).DisposeAsync();
        }

        await _guests.CheckAsync(_chain.TopNode);
    }
}
