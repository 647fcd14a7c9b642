using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

/// <summary>A million waiters on one thing: the stack does not grow with their number, and none is moved to another thread.</summary>
public class ManyWaitersTests
{
    private const int Count = 1_000_000;

    // A frame or two more may be on the stack for the first waiter than for the others, never one for each.
    private const long AllowedStackBytes = 4096;

    private readonly StackWatch _watch = new();
    private int _resumed;

    [Fact]
    public async Task A_million_waiters_on_one_lock_are_resumed_with_constant_stack_on_one_thread()
    {
        var gate = new AsyncLock();
        AsyncLock.Releaser first = await gate.EnterAsync(TestContext.Current.CancellationToken);
        for (int i = 0; i < Count; i++)
        {
            _ = EnterAndLeaveAsync(gate);
        }

        Assert.Equal(0, _resumed);
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

        Assert.Equal(0, _resumed);
        completion.Complete();
        AssertResumed();
    }

    private async Task EnterAndLeaveAsync(AsyncLock gate)
    {
        using (await gate.EnterAsync().ConfigureAwait(false))
        {
            _resumed++;
            _watch.Look();
        }
    }

    private async Task AwaitAsync(Completion completion)
    {
        await completion.WaitAsync().ConfigureAwait(false);
        _resumed++;
        _watch.Look();
    }

    private void AssertResumed()
    {
        Assert.Equal(Count, _resumed);
        Assert.InRange(_watch.StackBytes, 0, AllowedStackBytes);
        Assert.True(_watch.StayedOnThread);
    }

    /// <summary>How far apart the stack frames were from which it was called, and whether all calls came from the thread that made it.</summary>
    private sealed class StackWatch
    {
        private readonly int _thread = Environment.CurrentManagedThreadId;
        private long _lowest = long.MaxValue;
        private long _highest = long.MinValue;

        internal bool StayedOnThread { get; private set; } = true;

        internal long StackBytes => _highest - _lowest;

        internal unsafe void Look()
        {
            byte here;
            long address = (long)&here;
            _lowest = Math.Min(_lowest, address);
            _highest = Math.Max(_highest, address);
            StayedOnThread &= _thread == Environment.CurrentManagedThreadId;
        }
    }
}
