using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Steps begin in order, overlap where they wait, and end in order; none of them is lost or done twice.</summary>
public sealed class CopyStepsTests
{
    private static readonly CopyOutcome s_one = new(1, null, CopyStep.Read);

    private long _stored;

    public static TheoryData<WorkScheduler> Schedulers { get; } = [ThreadPoolWorkScheduler.Instance, InlineWorkScheduler.Instance];

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task Steps_behind_one_that_waits_go_on(WorkScheduler scheduler)
    {
        CopySteps steps = NewSteps(scheduler);
        var gate = new Completion();
        int begun = 0;
        for (int i = 0; i < 8; i++)
        {
            steps.Start(At(i), async () =>
            {
                if (Interlocked.Increment(ref begun) == 8)
                {
                    gate.Complete(); // more wait than there are strands: all get here only if a strand leaves a step that waits
                }

                await gate.WaitAsync();
                return s_one;
            });
        }

        for (int i = 0; i < 8; i++)
        {
            (ByteRange range, CopyOutcome outcome, _) = await steps.EndFirstAsync();
            Assert.Equal((At(i), s_one), (range, outcome));
        }

        Assert.Equal((0, 8L), (steps.Count, _stored));
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task Loop_that_starts_a_step_when_one_has_ended_ends_all_of_them(WorkScheduler scheduler)
    {
        CopySteps steps = NewSteps(scheduler);
        int next = 0;
        for (int ended = 0; ended < 10_000; ended++)
        {
            while (next < 10_000 && steps.Count < 4)
            {
                steps.Start(At(next++), () => new ValueTask<CopyOutcome>(s_one));
            }

            Assert.Equal(At(ended), (await steps.EndFirstAsync()).Range);
        }

        Assert.Equal((0, 10_000L), (steps.Count, _stored));
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task What_a_step_throws_is_met_by_whoever_ends_it(WorkScheduler scheduler)
    {
        CopySteps steps = NewSteps(scheduler);
        steps.Start(At(0), () => throw new InvalidDataException("at once"));
        steps.Start(At(1), () => new ValueTask<CopyOutcome>(s_one));
        steps.Start(At(2), () => ValueTask.FromException<CopyOutcome>(new InvalidDataException("later")));

        var error = await Assert.ThrowsAsync<InvalidDataException>(async () => await steps.EndFirstAsync());
        await steps.EndAllAsync();

        Assert.Equal("at once", error.Message);
        Assert.Equal((0, 1L), (steps.Count, _stored));
    }

    [Fact]
    public async Task Step_that_could_not_be_started_ends_in_its_turn()
    {
        CopySteps steps = NewSteps(ThreadPoolWorkScheduler.Instance);
        var unreadable = new InvalidDataException("unreadable");
        steps.Start(At(0), () => new ValueTask<CopyOutcome>(s_one));
        steps.Fail(At(1), unreadable);

        Assert.Equal(s_one, (await steps.EndFirstAsync()).Outcome);
        Assert.Same(unreadable, (await steps.EndFirstAsync()).Outcome.Error);
        Assert.Equal(1, _stored);
    }

    private static ByteRange At(int step) => new(step, 1);

    private CopySteps NewSteps(WorkScheduler scheduler)
    {
        BlockEnvironment environment = BlockEnvironment.Default with { Work = scheduler };
        return new CopySteps(environment, new RateLimiter(environment.Time, bytesPerSecond: 0), bytes => _stored += bytes);
    }
}
