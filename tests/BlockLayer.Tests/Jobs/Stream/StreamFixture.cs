using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>
/// A chain of images in memory under a root, in virtual time. Image 0 is the base at the bottom; image <c>i</c> holds writer <c>i + 1</c>'s bytes in the units
/// that a test fills.
/// </summary>
internal sealed class StreamFixture
{
    internal const int Unit = 64 * 1024;

    internal StreamFixture(int units, params int[] clusterSizes)
        : this(units, clusterSizes.Select(size => (size, (long)units * Unit)).ToArray())
    {
    }

    internal StreamFixture(int units, params (int ClusterSize, long Length)[] images)
    {
        Scheduler = new SimulationScheduler(1);
        Environment = TestEnvironment.Of(Scheduler);
        Length = units * (long)Unit;
        foreach ((int clusterSize, long length) in images)
        {
            var image = new MemoryOverlayNode($"image{Images.Count}", length, clusterSize, Environment, Images.LastOrDefault()) { Steps = Steps };
            Images.Add(image);
        }

        Root = new RootNode(Top);
    }

    internal SimulationScheduler Scheduler { get; }

    internal BlockEnvironment Environment { get; }

    internal long Length { get; }

    /// <summary>From the base up.</summary>
    internal List<MemoryOverlayNode> Images { get; } = [];

    internal MemoryOverlayNode Top => Images[^1];

    internal RootNode Root { get; private set; }

    /// <summary>Steps of all images.</summary>
    internal HeldSteps Steps { get; } = new();

    /// <summary>Events of the jobs made here.</summary>
    internal List<JobEvent> Events { get; } = [];

    /// <summary>Makes an image provide units.</summary>
    internal StreamFixture Fill(int image, int unit, int count = 1)
    {
        long offset = unit * (long)Unit;
        Images[image].Fill(offset, SectorStamp.Of(offset, count * Unit, image + 1));
        return this;
    }

    /// <summary>Puts a copy-on-read filter of the disk's own between the root and the top.</summary>
    internal StreamFixture CopyOnRead()
    {
        Top.AddReference();
        Assert.True(Root.DisposeAsync().IsCompletedSuccessfully);
        Root = new RootNode(CopyOnReadNode.Create(Top));
        return this;
    }

    internal void Run(Func<Task> test) => Scheduler.Run(test);

    internal StreamJob NewJob(StreamOptions? options = null) => Watched(new StreamJob(Root, options));

    /// <summary>A commit of image <paramref name="top"/> into image <paramref name="basis"/>.</summary>
    internal CommitJob NewCommit(int top, int basis, CommitOptions? options = null)
        => Watched(new CommitJob(Root, (options ?? new CommitOptions()) with { Top = Images[top], Base = Images[basis] }));

    /// <summary>Collects the events of a job.</summary>
    internal T Watched<T>(T job)
        where T : BlockJob
    {
        job.Notified += (_, what) => Events.Add(what);
        return job;
    }

    internal async Task<JobResult> RunAsync(StreamOptions? options = null)
    {
        StreamJob job = NewJob(options);
        await job.StartAsync();
        return await job.Completion;
    }

    internal static async Task<JobResult> RunAsync(BlockJob job)
    {
        await job.StartAsync();
        return await job.Completion;
    }

    internal static async Task<JobResult> CompletesAsync(BlockJob job)
    {
        JobResult result = await RunAsync(job);
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        Assert.Equal(result.Progress.End, result.Progress.Current);
        return result;
    }

    internal async Task<JobResult> CompletesAsync(StreamOptions? options = null)
    {
        JobResult result = await RunAsync(options);
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        Assert.Equal(new JobProgress(Length, Length), result.Progress);
        return result;
    }

    /// <summary>Who wrote the first sector of each unit, as the guest sees it.</summary>
    internal async Task<int[]> UnitsAsync(BlockNode? node = null)
    {
        var writers = new List<int>();
        byte[] unit = new byte[Unit];
        for (long offset = 0; offset < Length; offset += Unit)
        {
            await (node ?? Root).ReadAsync(offset, unit);
            int first = SectorStamp.WriterOf(unit, offset);
            for (int at = 0; at < Unit; at += SectorStamp.Size)
            {
                Assert.True(SectorStamp.WriterOf(unit.AsSpan(at), offset + at) == first, $"the unit at {offset} is mixed");
            }

            writers.Add(first);
        }

        return [.. writers];
    }

    internal ValueTask<BlockStatus> StatusAsync(long offset, long length = 1)
        => Top.GetStatusAsync(Origin.Edge, offset, length, StatusDepth.Node, CancellationToken.None);

    /// <summary>The names of the images of the disk, newest first.</summary>
    internal string[] Chain => [.. BackingChain.Images(Root).Select(image => image.NodeName)];

    /// <summary>Nothing of any job is left in the graph.</summary>
    internal void AssertClean()
    {
        Assert.Same(Top, Root.Filtered.Child);
        foreach (BlockNode image in BackingChain.Images(Top))
        {
            Assert.Empty(image.Claims);
            Assert.Null(image.BackingEdge?.FrozenBy);
            Assert.False(image.Backing is FilterNode, $"a filter is left above '{image.Backing?.SkipFilters().NodeName}'");
        }

        Assert.Equal(0, Environment.Buffers.Outstanding);
    }
}
