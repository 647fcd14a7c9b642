using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>
/// A base and a top in memory under a root, and a target, in virtual time. The base holds writer 1's bytes in units 0 to 7, the top writer 2's in units 4 to 11; the rest,
/// up to unit 15, is zero.
/// </summary>
internal sealed class MirrorFixture
{
    internal const int Unit = 64 * 1024;
    internal const int Units = 16;
    internal const long Length = Units * (long)Unit;

    internal static readonly int[] Content = [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0];

    internal MirrorFixture(long targetLength = Length, bool targetOnBase = false, NodeAccess targetAccess = NodeAccess.ReadWrite, int targetCluster = 4096)
    {
        Scheduler = new SimulationScheduler(1);
        Environment = TestEnvironment.Of(Scheduler);
        Base = new MemoryOverlayNode("base", Length, 4096, Environment) { Steps = Steps };
        Top = new MemoryOverlayNode("top", Length, 4096, Environment, Base) { Steps = Steps };
        Base.Fill(0, SectorStamp.Of(0, 8 * Unit, 1));
        Top.Fill(4 * Unit, SectorStamp.Of(4 * Unit, 8 * Unit, 2));
        Root = new RootNode(Top);
        if (targetOnBase)
        {
            Base.AddReference();
        }

        Target = new MemoryOverlayNode("target", targetLength, targetCluster, Environment, targetOnBase ? Base : null, targetAccess) { Steps = TargetSteps };
    }

    internal SimulationScheduler Scheduler { get; }

    internal BlockEnvironment Environment { get; }

    internal MemoryOverlayNode Base { get; }

    internal MemoryOverlayNode Top { get; }

    internal MemoryOverlayNode Target { get; }

    internal RootNode Root { get; }

    /// <summary>Steps of the source.</summary>
    internal HeldSteps Steps { get; } = new();

    /// <summary>Steps of the target.</summary>
    internal HeldSteps TargetSteps { get; } = new();

    /// <summary>Events of the job.</summary>
    internal List<JobEvent> Events { get; } = [];

    internal IEnumerable<(CopyStep Step, JobErrorAction Action)> Errors => Events.OfType<JobErrorOccurred>().Select(error => (error.Step, error.Action));

    internal void Run(Func<Task> test) => Scheduler.Run(test);

    internal MirrorJob NewJob(MirrorJobOptions? options = null)
    {
        var job = new MirrorJob(Root, Target, options);
        job.Notified += (_, what) => Events.Add(what);
        return job;
    }

    internal async Task<MirrorJob> StartAsync(MirrorJobOptions? options = null)
    {
        MirrorJob job = NewJob(options);
        await job.StartAsync();
        return job;
    }

    internal async Task<MirrorJob> StartReadyAsync(MirrorJobOptions? options = null)
    {
        MirrorJob job = await StartAsync(options);
        await UntilAsync(() => job.State == JobState.Ready || job.Completion.IsCompleted);
        Assert.Equal(JobState.Ready, job.State);
        return job;
    }

    /// <summary>Lets virtual time go by until something is so.</summary>
    internal async Task UntilAsync(Func<bool> isSo)
    {
        for (int i = 0; !isSo(); i++)
        {
            Assert.True(i < 10_000, "it never came to be");
            await Task.Delay(TimeSpan.FromMilliseconds(20), Scheduler.Time);
        }
    }

    internal Task PassAsync(double seconds) => Task.Delay(TimeSpan.FromSeconds(seconds), Scheduler.Time);

    internal ValueTask WriteAsync(int unit, int writer, int units = 1)
        => Root.WriteAsync(unit * (long)Unit, SectorStamp.Of(unit * (long)Unit, units * Unit, writer));

    /// <summary>Who wrote each unit of a node, as far as all of its sectors agree.</summary>
    internal static async Task<int[]> UnitsAsync(BlockNode node)
    {
        var writers = new List<int>();
        byte[] unit = new byte[Unit];
        for (long offset = 0; offset < Length; offset += Unit)
        {
            await node.ReadAsync(Origin.Edge, offset, unit, ReadFlags.None, CancellationToken.None);
            int first = SectorStamp.WriterOf(unit, offset);
            for (int at = 0; at < Unit; at += SectorStamp.Size)
            {
                Assert.True(SectorStamp.WriterOf(unit.AsSpan(at), offset + at) == first, $"the unit at {offset} of '{node.NodeName}' is mixed");
            }

            writers.Add(first);
        }

        return [.. writers];
    }

    internal static async Task AssertHoldsAsync(BlockNode node, params int[] writers) => Assert.Equal(writers, await UnitsAsync(node));

    /// <summary>What it holds at first, with one unit changed.</summary>
    internal static int[] ContentWith(int unit, int writer)
    {
        int[] content = [.. Content];
        content[unit] = writer;
        return content;
    }

    /// <summary>The guest is back on a plain image, and no job holds anything.</summary>
    internal void AssertClean(BlockNode expected)
    {
        Assert.Same(expected, Root.Filtered.Child);
        Assert.Empty(Top.Claims);
        Assert.Empty(Target.Claims);
        Assert.Null(Top.BackingEdge?.FrozenBy);
        Assert.Equal(0, Environment.Buffers.Outstanding);
    }
}
