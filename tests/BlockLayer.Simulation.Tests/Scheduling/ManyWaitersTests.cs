using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Scheduling;

/// <summary>As the tests of the same name for the primitives alone; here the scheduler resumes the waiters, in any order.</summary>
public class ManyWaitersTests
{
    private const int Count = 1_000_000;
    private const long AllowedStackBytes = 4096;

    private readonly SimulationScheduler _scheduler = new(11);
    private readonly StackWatch _watch = new();

    [Fact]
    public void A_million_waiters_on_one_lock_under_the_scheduler()
    {
        var gate = new AsyncLock();
        _scheduler.Run(async () =>
        {
            using (await gate.EnterAsync())
            {
                for (int i = 0; i < Count; i++)
                {
                    _ = EnterAndLeaveAsync(gate);
                }
            }

            using (await gate.EnterAsync())
            {
                Assert.Equal(Count, _watch.Looks); // the lock is fair: whoever came last gets it last
            }
        });
        AssertResumed();
    }

    [Fact]
    public void A_million_waiters_on_one_completion_under_the_scheduler()
    {
        var completion = new Completion();
        _scheduler.Run(async () =>
        {
            for (int i = 0; i < Count; i++)
            {
                _ = AwaitAsync(completion);
            }

            completion.Complete();
            Assert.Equal(0, _watch.Looks);
            await completion.WaitAsync();
        });
        _scheduler.RunUntil(() => _watch.Looks == Count);
        AssertResumed();
    }

    private async Task EnterAndLeaveAsync(AsyncLock gate)
    {
        using (await gate.EnterAsync().ConfigureAwait(false))
        {
            _watch.Look();
        }
    }

    private async Task AwaitAsync(Completion completion)
    {
        await completion.WaitAsync().ConfigureAwait(false);
        _watch.Look();
    }

    private void AssertResumed()
    {
        Assert.Equal(Count, _watch.Looks);
        Assert.InRange(_watch.StackBytes, 0, AllowedStackBytes);
        Assert.True(_watch.StayedOnThread);
    }
}
