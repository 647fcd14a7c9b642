using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation.Tests.Interleavings;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// One seeded run: guests work on a disk that is copied live, into one image after the other or into its own base, by jobs that an erratic user pauses, slows down, changes,
/// completes and cancels. Whenever a job's filter is taken out, the disk is what its guests made of it, and where the job ended well so is the copy.
/// </summary>
internal sealed class LiveCopyWorld
{
    private const int RequestsPerGuest = 40;
    private const int Jobs = 4;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly ChainPlan _chain;
    private readonly RootNode _root;
    private readonly RandomSteps _steps;
    private readonly GuestCrowd _guests;
    private readonly LiveCopyMistake _mistake;
    private BlockNode _source; // of the job under way
    private bool _isCopyEqual; // when its filter was taken out

    internal LiveCopyWorld(SimulationScheduler scheduler, bool fails, LiveCopyMistake mistake = LiveCopyMistake.None)
    {
        _scheduler = scheduler;
        _mistake = mistake;
        _random = scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(scheduler);
        _chain = new ChainPlan(_environment, _random);
        _root = new RootNode(_chain.TopNode);
        _source = _chain.TopNode;
        _steps = new RandomSteps(scheduler, _random, fails);
        _chain.TopNode.Steps = _steps;
        _chain.MiddleNode.Steps = _steps;
        _chain.BaseNode.Steps = _steps;
        _guests = new GuestCrowd(scheduler, _random, _root, new SectorModel(_chain.Length, _chain.WriterAt), _steps, RequestsPerGuest);
    }

    /// <summary>Jobs that ended well while guests were there.</summary>
    internal int EndedWell { get; private set; }

    internal void Run()
    {
        _guests.Spawn();
        _scheduler.Spawn("copies", CopyAsync);
        _scheduler.Run();

        _steps.Fails = false;
        _scheduler.Run(CopyQuietlyAsync);
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }

    private async Task CopyAsync()
    {
        for (int i = 0; i < Jobs; i++)
        {
            _steps.Odds = _random.Next(2) == 0 ? 12 : 400;
            BlockNode source = _source = _root.SkipFilters();
            LiveCopyJob job = NewJob(i);
            try
            {
                await job.StartAsync();
            }
            catch (BlockLayerException error) when (error.Message == RandomSteps.Message)
            {
                continue; // the base could not be grown
            }

            _scheduler.Spawn($"user of {job.Id}", () => UseAsync(job));
            JobResult result = await job.Completion;
            EndedWell += result.Outcome == JobOutcome.Completed ? 1 : 0;
            bool planned = result.Error is null or BlockLayerException { Message: RandomSteps.Message };
            Assert.True(planned, result.Error?.ToString());
            Assert.True(result.Outcome != JobOutcome.Completed || _isCopyEqual, "the copy is not what the disk was when the job ended well");
            Assert.True(!job.HasSwitched || _isCopyEqual, "the disk went over to something else than what it was");
            Assert.Same(job.HasSwitched ? job.Target : source, _root.SkipFilters());
            Assert.Empty(_root.SkipFilters().Claims);
        }
    }

    // Nobody else is there: equal when it says so.
    private async Task CopyQuietlyAsync()
    {
        _source = _root.SkipFilters();
        LiveCopyJob job = NewMirror("last", MirrorScope.Full);
        await job.StartAsync();
        while (job.State != JobState.Ready)
        {
            Assert.False(job.Completion.IsCompleted, (job.Completion.IsCompleted ? await job.Completion : null)?.Error?.ToString());
            await Task.Delay(TimeSpan.FromMilliseconds(50), _scheduler.Time);
        }

        await _guests.CheckAsync(job.Target);
        job.Complete();
        await FinalizeAsync(job);
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        Assert.Same(job.Target, _root.Filtered.Child);
        await _guests.CheckAsync(_root);
    }

    private async Task FinalizeAsync(LiveCopyJob job)
    {
        while (!job.Completion.IsCompleted)
        {
            if (job.State == JobState.Pending && !job.GetInfo().AutoFinalize)
            {
                job.FinalizeJob();
            }

            await Task.Delay(TimeSpan.FromMilliseconds(50), _scheduler.Time);
        }
    }

    private LiveCopyJob NewJob(int number)
    {
        BlockNode[] chain = [.. BackingChain.Images(_root)];
        return _random.Next(3) switch
        {
            0 when chain.Length > 1 => new ActiveCommitJob(_root, Options(new ActiveCommitOptions { Id = $"commit {number}", Base = chain[1 + _random.Next(chain.Length - 1)] }))
            {
                NodeFactory = Watch,
            },
            1 => NewMirror($"mirror {number}", MirrorScope.Top),
            _ => NewMirror($"mirror {number}", MirrorScope.Full),
        };
    }

    private MirrorJob NewMirror(string id, MirrorScope scope)
    {
        BlockNode? backing = scope == MirrorScope.Top ? _root.SkipFilters().Backing?.SkipFilters() : null;
        backing?.AddReference();
        var target = new MemoryOverlayNode($"target of {id}", _root.Length, 4096 << (4 * _random.Next(2)), _environment, backing) { Steps = _steps };
        return new MirrorJob(_root, target, Options(new MirrorJobOptions { Id = id, Scope = scope })) { NodeFactory = Watch };
    }

    private T Options<T>(T options)
        where T : LiveCopyOptions => options with
    {
        CopyMode = (MirrorCopyMode)_random.Next(2),
        Granularity = _random.Next(2) == 0 ? null : 4096 << _random.Next(6),
        OnError = (JobErrorPolicy)_random.Next(4),
        OnTargetError = _random.Next(2) == 0 ? null : (JobErrorPolicy)_random.Next(4),
        BytesPerSecond = _random.Next(4) == 0 ? 65536 * 20 : 0,
        AutoFinalize = _random.Next(3) != 0,
        GuestsFirst = _random.Next(3) == 0 ? 1 : int.MaxValue,
    };

    private WatchedCopyNode Watch(LiveCopySetup setup) => new(setup, _mistake, CheckAsync);

    // The disk is drained. What the filter shows is the source, or the target when the disk goes over to it.
    private async Task CheckAsync(WatchedCopyNode node)
    {
        (bool fails, _steps.Fails) = (_steps.Fails, false);
        byte[] shown = await ReadAllAsync(node.Filtered.Child);
        _guests.Check(shown);
        byte[] other = await ReadAllAsync(node.FindChild(EdgeRole.Secondary)?.Child ?? _source);
        _isCopyEqual = other.AsSpan(0, (int)Math.Min(other.Length, _chain.Length)).SequenceEqual(shown.AsSpan(0, (int)_chain.Length));
        _steps.Fails = fails;
    }

    private static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] all = new byte[node.Length];
        await node.ReadAsync(Origin.Edge, 0, all, ReadFlags.None, CancellationToken.None);
        return all;
    }

    private async Task UseAsync(LiveCopyJob job)
    {
        for (int i = 0; !job.Completion.IsCompleted; i++)
        {
            try
            {
                Use(job, patience: 12 - i);
            }
            catch (JobVerbException)
            {
                // The job does not take it just now: he asks for whatever comes to his mind.
            }

            // Time passes only when everybody waits for it: most of what he does, he does while others are at work.
            for (int steps = i < 12 ? _random.Next(80) : 0; steps > 0; steps--)
            {
                await _scheduler.StepAsync();
            }

            if (i >= 12 || _random.Next(4) == 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(40)), _scheduler.Time);
            }
        }
    }

    private void Use(LiveCopyJob job, int patience)
    {
        JobInfo info = job.GetInfo();
        if (info.IsPaused && patience < 6)
        {
            job.Resume();
        }
        else if (info.IsReady && _random.Next(3) == 0)
        {
            End(job, patience);
        }
        else if (info.State == JobState.Pending)
        {
            job.FinalizeJob();
        }
        else
        {
            switch (_random.Next(patience < 0 ? 4 : 8))
            {
                case 0 when patience < 0:
                    job.Cancel(force: true);
                    break;
                case 1:
                    job.ChangeCopyMode(MirrorCopyMode.WriteBlocking);
                    break;
                case 2:
                    job.BytesPerSecond = _random.Next(2) * 65536L * 50;
                    break;
                case 5:
                    job.Pause();
                    break;
                default:
                    job.Resume();
                    break;
            }
        }
    }

    private void End(LiveCopyJob job, int patience)
    {
        if (_random.Next(4) == 0)
        {
            job.Cancel(force: patience > 3 && _random.Next(4) == 0);
        }
        else
        {
            job.Complete();
        }
    }
}
