using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One seeded run: several callers pull an image in increments, each with a cursor of its own that begins anywhere, and come in each other's way; guests may work on the disk meanwhile.
/// </summary>
internal sealed class IncrementWorld
{
    private const int RequestsPerGuest = 10;
    private const int MostAttempts = 400; // of one caller; far more than there are units, refusals and failures

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly ChainPlan _chain;
    private readonly RootNode _root;
    private readonly RandomSteps _steps;
    private readonly GuestCrowd _guests;
    private readonly CopyStrategy _strategy;
    private readonly BlockNode? _base;
    private bool _isComplete;

    internal IncrementWorld(SimulationScheduler scheduler, CopyStrategy strategy, CopyWorldFaults faults)
    {
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(scheduler);
        _chain = new ChainPlan(_environment, _random);
        _strategy = strategy;
        _base = _random.Next(2) == 0 ? _chain.BaseNode : null;
        _root = new RootNode(_chain.TopNode);
        _steps = new RandomSteps(scheduler, _random, faults == CopyWorldFaults.Failures);
        _chain.TopNode.Steps = _steps;
        _chain.MiddleNode.Steps = _steps;
        _chain.BaseNode.Steps = _steps;
        _guests = new GuestCrowd(scheduler, _random, _root, new SectorModel(_chain.Length, _chain.WriterAt), _steps, RequestsPerGuest);
    }

    internal FetchProbe Probe => _chain.Probe;

    /// <summary>Clusters of the image that hold something of their own.</summary>
    internal int AllocatedClusters => _chain.TopNode.AllocatedClusters;

    /// <summary>Guests and callers, until every caller was told the end.</summary>
    internal void RunWithGuests(int callers)
    {
        _guests.Spawn();
        RunQuietly(callers);
    }

    /// <summary>Callers alone.</summary>
    internal void RunQuietly(int callers)
    {
        for (int i = 0; i < callers; i++)
        {
            _scheduler.Spawn($"caller {i}", () => CallUntilDoneAsync(_random.Next(2) == 0 ? 0 : _random.Next((int)_chain.Length + 1)));
        }

        _scheduler.Run();
        Check();
    }

    /// <summary>One job for all of it instead, to compare with.</summary>
    internal void RunWhole()
    {
        _scheduler.Run(async () =>
        {
            var job = new StreamJob(_root, Options("whole"));
            await job.StartAsync();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        Check();
    }

    private async Task CallUntilDoneAsync(long cursor)
    {
        for (int attempt = 1; cursor < _chain.Length || !_isComplete; attempt++)
        {
            Assert.True(attempt < MostAttempts, $"the increments do not come to an end; the cursor is {cursor}");
            _steps.Fails &= attempt < 40;
            try
            {
                StreamIncrement increment = await IncrementAsync(cursor);
                Assert.Equal(increment.IsComplete, increment.Next == _chain.Length);
                _isComplete |= increment.IsComplete;
                cursor = increment.Next;
            }
            catch (OperationCanceledException)
            {
                // Somebody was impatient. The cursor still means the same place.
            }
            catch (BlockLayerException error) when (error.Kind == BlockErrorKind.Conflict || error.Message == RandomSteps.Message)
            {
                // Another caller is at it, or it failed as planned.
            }

            // Between the switch and the word of it somebody else may look.
            Assert.True(_chain.TopNode.Backing == _base || (!_isComplete && _chain.TopNode.Backing == _chain.Probe), $"{_chain.TopNode.Backing}");
            await Task.Delay(TimeSpan.FromMilliseconds(1 + _random.Next(40)), _scheduler.Time);
        }
    }

    private async Task<StreamIncrement> IncrementAsync(long cursor)
    {
        var job = new StreamJob(_root, Options("increment") with { Cursor = cursor });
        await job.StartAsync();
        if (_random.Next(10) == 0)
        {
            _scheduler.Spawn("impatience", async () =>
            {
                for (int steps = _random.Next(30); steps > 0; steps--)
                {
                    await _scheduler.StepAsync();
                }

                job.TryCancel();
            });
        }

        StreamIncrement increment = await StreamIncrement.FinishAsync(job, CancellationToken.None);
        _isComplete |= increment.IsComplete; // before anybody else has his turn
        return increment;
    }

    private StreamOptions Options(string id) => new() { Id = id, Base = _base, Strategy = _strategy };

    private void Check()
    {
        _steps.Fails = false;
        Assert.Same(_base, _chain.TopNode.Backing);
        Assert.Equal(_base?.NodeName, _chain.TopNode.BackingReference?.Name);
        Assert.Empty(_chain.TopNode.Claims);
        Assert.Same(_chain.TopNode, _root.Filtered.Child);
        Assert.Equal(0, _environment.Buffers.Outstanding);
        _scheduler.Run(() => _guests.CheckAsync(_root));
    }
}
