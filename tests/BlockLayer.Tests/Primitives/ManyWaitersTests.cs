using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Primitives;

/// <summary>A million waiters on one thing: the stack does not grow with their number, and none is moved to another thread.</summary>
public class ManyWaitersTests
{
    private const int Count = 1_000_000;

    // A frame or two more may be on the stack for the first waiter than for the others, never one for each.
    private const long AllowedStackBytes = 4096;

    private readonly StackWatch _watch = new();

    [Fact]
    public async Task A_million_waiters_on_one_lock_are_resumed_with_constant_stack_on_one_thread()
    {
        var gate = new AsyncLock();
        AsyncLock.Releaser first = await gate.EnterAsync(TestContext.Current.CancellationToken);
        for (int i = 0; i < Count; i++)
        {
            _ = EnterAndLeaveAsync(gate);
        }

        Assert.Equal(0, _watch.Looks);
        first.Dispose();
        AssertResumed();
        Assert.False(gate.IsHeld);
    }

    [Fact]
    public void A_million_waiters_on_one_completion_are_resumed_with_constant_stack_on_one_thread()
    {
        var completion = new Completion();
        for (int i = 0; i < Count; i++)
        {
            _ = AwaitAsync(completion);
        }

        Assert.Equal(0, _watch.Looks);
        completion.Complete();
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
