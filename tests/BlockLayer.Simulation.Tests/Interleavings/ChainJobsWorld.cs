using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One seeded run: guests work on a disk while several users pull and commit whatever parts of its chain come to their minds, at the same time, and pause, slow
/// down and cancel each other's work.
/// </summary>
internal sealed class ChainJobsWorld
{
    private const int UserCount = 3;
    private const int JobsPerUser = 5;
    private const int RequestsPerGuest = 14;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly RandomChain _chain;
    private readonly RootNode _root;
    private readonly RandomSteps _steps;
    private readonly GuestCrowd _guests;

    internal ChainJobsWorld(SimulationScheduler scheduler, CopyWorldFaults faults)
    {
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(scheduler);
        _chain = new RandomChain(_environment, _random, count: 4 + _random.Next(4));
        _root = new RootNode(_chain.Newest);
        _steps = new RandomSteps(scheduler, _random, faults == CopyWorldFaults.Failures);
        foreach (MemoryOverlayNode image in _chain.Images)
        {
            image.Steps = _steps;
        }

        _guests = new GuestCrowd(scheduler, _random, _root, new SectorModel(_chain.Newest.Length, _chain.WriterAt), _steps, RequestsPerGuest);
    }

    /// <summary>How jobs of all kinds ended.</summary>
    internal Dictionary<(string Kind, JobOutcome Outcome), int> Ended { get; } = [];

    /// <summary>Jobs that were refused because of others.</summary>
    internal int Refused { get; private set; }

    internal void Run()
    {
        _guests.Spawn();
        for (int user = 0; user < UserCount; user++)
        {
            int name = user;
            _scheduler.Spawn($"user {name}", () => WorkAsync(name));
        }

        _scheduler.Run();
        _steps.Fails = false;
        _scheduler.Run(CheckAsync);
    }

    private async Task WorkAsync(int user)
    {
        for (int i = 0; i < JobsPerUser; i++)
        {
            if (await TryStartAsync($"{user}.{i}") is not { } job)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(40)), _scheduler.Time);
                continue;
            }

            _scheduler.Spawn($"meddler with {job.Id}", () => JobMeddler.MeddleAsync(_scheduler, _random, job));
            JobResult result = await job.Completion;
            bool planned = result.Error is null or BlockLayerException { Message: RandomSteps.Message };
            Assert.True(planned, result.Error?.ToString());
            Ended[(job.Kind, result.Outcome)] = Ended.GetValueOrDefault((job.Kind, result.Outcome)) + 1;
        }
    }

    private async Task<BlockJob?> TryStartAsync(string id)
    {
        BlockNode[] images = [.. BackingChain.Images(_root)];
        if (images.Length < 3)
        {
            return null;
        }

        BlockJob job = _random.Next(2) == 0 ? NewCommit(id, images) : NewPull(id, images);
        try
        {
            await job.StartAsync();
            return job;
        }
        catch (BlockLayerException error) when (error.Kind is BlockErrorKind.Conflict or BlockErrorKind.NotFound)
        {
            Refused++;
            return null;
        }
        catch (BlockLayerException error) when (_steps.Fails && error.Message == RandomSteps.Message)
        {
            return null;
        }
    }

    private CommitJob NewCommit(string id, BlockNode[] images)
    {
        int top = 1 + _random.Next(images.Length - 2);
        return new CommitJob(_root, new CommitOptions
        {
            Id = id,
            Top = images[top],
            Base = images[top + 1 + _random.Next(images.Length - top - 1)],
            OnError = (JobErrorPolicy)_random.Next(4),
            BytesPerSecond = NextSpeed(),
        });
    }

    private StreamJob NewPull(string id, BlockNode[] images)
    {
        int top = _random.Next(images.Length - 1);
        return new StreamJob(_root, new StreamOptions
        {
            Id = id,
            Top = images[top],
            Bottom = images[top + _random.Next(images.Length - top)],
            Strategy = CopyStrategy.All[_random.Next(CopyStrategy.All.Count)],
            OnError = (JobErrorPolicy)_random.Next(4),
            BytesPerSecond = NextSpeed(),
        });
    }

    private long NextSpeed() => _random.Next(3) == 0 ? 65536 * 20 : 0;

    private async Task CheckAsync()
    {
        Assert.Same(_chain.Newest, _root.Filtered.Child);
        foreach (BlockNode image in BackingChain.Images(_root))
        {
            Assert.Empty(image.Claims);
            Assert.Null(image.BackingEdge?.FrozenBy);
            Assert.IsNotType<FilterNode>(image.Backing, exactMatch: false);
            Assert.Equal(image.Backing?.NodeName, image.BackingReference?.Name);
        }

        await _guests.CheckAsync(_root);
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }
}
