using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A job that cannot learn what an image holds, because its tables cannot be read, has failed to read, and does what its policy says.</summary>
public class StatusErrorTests
{
    private const int Unit = 64 * 1024;
    private const int Length = 8 * Unit;

    private readonly SimulationScheduler _scheduler = new(1);
    private readonly List<JobErrorOccurred> _errors = [];
    private readonly FaultInjectionNode _middle; // on the image below the top
    private readonly RootNode _root;
    private readonly byte[] _shown = new byte[Length];

    public StatusErrorTests()
    {
        BlockEnvironment environment = TestEnvironment.Of(_scheduler);
        var bottom = new MemoryOverlayNode("bottom", Length, Unit, environment);
        var middle = new MemoryOverlayNode("middle", Length, Unit, environment, bottom, NodeAccess.ReadOnly);
        middle.Fill(2 * Unit, SectorStamp.Of(2 * Unit, 4 * Unit, 1));
        SectorStamp.Of(2 * Unit, 4 * Unit, 1).CopyTo(_shown, 2 * Unit);
        _middle = new FaultInjectionNode(middle);
        var top = new MemoryOverlayNode("top", Length, Unit, environment, _middle);
        _root = new RootNode(new MemoryOverlayNode("active", Length, Unit, environment, top));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Stop_pauses_and_a_resume_asks_again(bool commits)
        => _scheduler.Run(async () =>
        {
            Fail(new NodeFault { Range = new(3 * Unit, 1) });
            BlockJob job = await StartAsync(commits, JobErrorPolicy.Stop);
            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
            Assert.Equal((JobState.Paused, BlockErrorKind.Io), (job.State, (job.PausingError as BlockLayerException)?.Kind));
            Assert.Equal((CopyStep.Read, JobErrorAction.Stop), Assert.Single(_errors.Select(static error => (error.Step, error.Action)).Distinct()));

            _middle.Clear();
            job.Resume();

            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            await AssertContentAsync();
        });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Report_tells_the_error_and_fails(bool commits)
        => _scheduler.Run(async () =>
        {
            Fail(new NodeFault());
            BlockJob job = await StartAsync(commits, JobErrorPolicy.Report);
            Assert.Equal(JobOutcome.Failed, (await job.Completion).Outcome);
            Assert.Equal((CopyStep.Read, JobErrorAction.Report), Assert.Single(_errors.Select(static error => (error.Step, error.Action))));
            await AssertContentAsync();
        });

    [Fact]
    public void A_pull_that_ignores_errors_copies_the_rest_and_keeps_the_backing_file()
        => _scheduler.Run(async () =>
        {
            Fail(new NodeFault { Range = new(3 * Unit, Unit) });
            BlockJob job = await StartAsync(commits: false, JobErrorPolicy.Ignore);
            Assert.Equal(JobOutcome.Failed, (await job.Completion).Outcome);
            BlockNode active = _root.SkipFilters();
            Assert.NotNull(active.Backing);
            Assert.False((await active.GetStatusAsync(3 * Unit, Unit, StatusDepth.Node)).IsAllocated);
            BlockStatus behind = await active.GetStatusAsync(4 * Unit, 2 * Unit, StatusDepth.Node);
            Assert.Equal((true, 2L * Unit), (behind.IsAllocated, behind.Length));
            await AssertContentAsync();
        });

    private void Fail(NodeFault fault) => _middle.Add(fault with { Operations = NodeOperations.Status, Error = BlockErrorKind.Io });

    private async Task<BlockJob> StartAsync(bool commits, JobErrorPolicy policy)
    {
        BlockNode[] chain = [.. BackingChain.Images(_root)];
        BlockJob job = commits
            ? new CommitJob(_root, new CommitOptions { Top = chain[1], Base = chain[3], OnError = policy })
            : new StreamJob(_root, new StreamOptions { OnError = policy });
        job.Notified += (_, what) => _errors.AddRange(what is JobErrorOccurred error ? [error] : Array.Empty<JobErrorOccurred>());
        await job.StartAsync();
        return job;
    }

    private async Task AssertContentAsync()
    {
        _middle.Clear();
        byte[] content = new byte[Length];
        await _root.ReadAsync(0, content);
        Assert.Equal(_shown, content);
    }
}
