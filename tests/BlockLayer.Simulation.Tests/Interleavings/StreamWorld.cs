using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One seeded run: guests work on a disk while its image is pulled, to a base or entirely, by jobs that are paused, slowed down, cancelled and run again
/// until one completes.
/// </summary>
internal sealed class StreamWorld
{
    private const int RequestsPerGuest = 14;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly ChainPlan _chain;
    private readonly RootNode _root;
    private readonly RandomSteps _steps;
    private readonly GuestCrowd _guests;
    private readonly CopyStrategy _strategy;
    private readonly BlockNode? _base;

    internal StreamWorld(SimulationScheduler scheduler, CopyStrategy strategy, CopyWorldFaults faults)
    {
        _scheduler = scheduler;
        _random = _scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(_scheduler);
        _chain = new ChainPlan(_environment, _random);
        _strategy = strategy;
        _base = _random.Next(2) == 0 ? _chain.BaseNode : null;
        _root = new RootNode(_chain.TopNode);
        _steps = new RandomSteps(_scheduler, _random, faults == CopyWorldFaults.Failures);
        _chain.TopNode.Steps = _steps;
        _chain.MiddleNode.Steps = _steps;
        _chain.BaseNode.Steps = _steps;
        _guests = new GuestCrowd(_scheduler, _random, _root, new SectorModel(_chain.Length, _chain.WriterAt), _steps, RequestsPerGuest);
    }

    internal void Run()
    {
        _guests.Spawn();
        _scheduler.Spawn("puller", PullUntilDoneAsync);
        _scheduler.Run();

        _steps.Fails = false;
        _scheduler.Run(CheckAsync);
    }

    private async Task PullUntilDoneAsync()
    {
        for (int attempt = 1; ; attempt++)
        {
            _steps.Fails &= attempt < 6;
            var job = new StreamJob(_root, new StreamOptions
            {
                Id = $"pull {attempt}",
                Base = _base,
                Strategy = _strategy,
                OnError = (JobErrorPolicy)_random.Next(4),
                BytesPerSecond = _random.Next(3) == 0 ? 65536 * 20 : 0,
                MemoryLimit = 65536L * (1 + _random.Next(16)),
            });
            await job.StartAsync();
            if (attempt < 8)
            {
                _scheduler.Spawn($"user of {job.Id}", () => JobMeddler.MeddleAsync(_scheduler, _random, job));
            }

            JobResult result = await job.Completion;
            Assert.Empty(_chain.TopNode.Claims);
            Assert.Same(_chain.TopNode, _root.Filtered.Child);
            if (result.Outcome == JobOutcome.Completed)
            {
                Assert.Same(_base, _chain.TopNode.Backing);
                Assert.Equal(_base?.NodeName, _chain.TopNode.BackingReference?.Name);
                return;
            }

            bool planned = result.Error is null or BlockLayerException { Message: RandomSteps.Message };
            Assert.True(planned, result.Error?.ToString());
            Assert.Same(_chain.Probe, _chain.TopNode.Backing);
            Assert.Equal(_chain.Probe.NodeName, _chain.TopNode.BackingReference?.Name);
        }
    }

    private async Task CheckAsync()
    {
        Assert.Equal(0, _environment.Buffers.Outstanding);
        await _guests.CheckAsync(_root);
    }
}
