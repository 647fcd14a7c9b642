using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class AsyncLockTests
{
    private readonly AsyncLock _lock = new();

    [Fact]
    public async Task A_free_lock_is_entered_at_once()
    {
        ValueTask<AsyncLock.Releaser> entered = _lock.EnterAsync();
        Assert.True(entered.IsCompletedSuccessfully);
        Assert.True(_lock.IsHeld);
        (await entered).Dispose();
        Assert.False(_lock.IsHeld);
    }

    [Fact]
    public void Entering_and_leaving_a_free_lock_allocates_nothing()
    {
        EnterAndLeave(1000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        EnterAndLeave(1000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public async Task Waiters_enter_in_the_order_they_came()
    {
        var order = new List<int>();
        AsyncLock.Releaser first = await _lock.EnterAsync();
        Task[] waiting = [.. Enumerable.Range(0, 10).Select(EnterAsync)];
        Assert.Empty(order);

        first.Dispose();

        await Task.WhenAll(waiting);
        Assert.Equal(Enumerable.Range(0, 10), order);
        Assert.False(_lock.IsHeld);

        async Task EnterAsync(int number)
        {
            using (await _lock.EnterAsync())
            {
                order.Add(number);
            }
        }
    }

    [Fact]
    public async Task Who_comes_while_the_lock_is_handed_over_does_not_overtake()
    {
        AsyncLock.Releaser first = await _lock.EnterAsync();
        ValueTask<AsyncLock.Releaser> second = _lock.EnterAsync();
        using (ReadyList.Enter())
        {
            first.Dispose(); // the second owns the lock from here on, although it has not been resumed
            Assert.False(_lock.TryEnter(out _));
        }

        (await second).Dispose();
        Assert.True(_lock.TryEnter(out AsyncLock.Releaser last));
        last.Dispose();
    }

    [Fact]
    public async Task A_cancelled_waiter_fails_and_the_one_behind_it_enters()
    {
        using var cancellation = new CancellationTokenSource();
        AsyncLock.Releaser first = await _lock.EnterAsync();
        Task<AsyncLock.Releaser> cancelled = _lock.EnterAsync(cancellation.Token).AsTask();
        Task<AsyncLock.Releaser> behind = _lock.EnterAsync().AsTask();

        cancellation.Cancel();

        OperationCanceledException error = await Assert.ThrowsAsync<OperationCanceledException>(() => cancelled);
        Assert.Equal(cancellation.Token, error.CancellationToken);
        Assert.False(behind.IsCompleted);
        first.Dispose();
        (await behind).Dispose();
        Assert.False(_lock.IsHeld);
    }

    [Fact]
    public async Task A_token_that_fires_after_the_lock_was_granted_changes_nothing()
    {
        using var cancellation = new CancellationTokenSource();
        AsyncLock.Releaser first = await _lock.EnterAsync();
        ValueTask<AsyncLock.Releaser> second = _lock.EnterAsync(cancellation.Token);
        using (ReadyList.Enter())
        {
            first.Dispose();
            cancellation.Cancel();
        }

        (await second).Dispose();
        Assert.False(_lock.IsHeld);
    }

    [Fact]
    public async Task A_cancelled_token_is_refused_even_when_the_lock_is_free()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await _lock.EnterAsync(new CancellationToken(canceled: true)));
        Assert.False(_lock.IsHeld);
    }

    [Fact]
    public void A_lock_that_is_held_is_not_tried_successfully()
    {
        Assert.True(_lock.TryEnter(out AsyncLock.Releaser held));
        Assert.False(_lock.TryEnter(out AsyncLock.Releaser none));
        none.Dispose(); // belongs to nobody
        Assert.True(_lock.IsHeld);
        held.Dispose();
        Assert.False(_lock.IsHeld);
    }

    // Four threads enter, some give up; the counter is only right if there was never more than one inside and nobody was lost.
    [Fact]
    public void Threads_that_enter_and_give_up_exclude_each_other()
    {
        const int Rounds = 5000;
        long inside = 0;
        long entered = 0;
        long counted = 0;
        Thread[] threads = [.. Enumerable.Range(1, 4).Select(seed => new Thread(() => Run(new Random(seed))))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(entered, counted);
        Assert.True(entered > Rounds, $"only {entered} entered");
        Assert.False(_lock.IsHeld);

        void Run(Random random)
        {
            var tasks = new List<Task>();
            for (int i = 0; i < Rounds; i++)
            {
                tasks.Add(EnterAsync(giveUp: random.Next(3) == 0));
            }

            Task.WaitAll(tasks);
        }

        async Task EnterAsync(bool giveUp)
        {
            using var cancellation = new CancellationTokenSource();
            ValueTask<AsyncLock.Releaser> entering = _lock.EnterAsync(cancellation.Token);
            if (giveUp)
            {
                cancellation.Cancel();
            }

            try
            {
                using (await entering)
                {
                    Assert.Equal(1, Interlocked.Increment(ref inside));
                    Interlocked.Increment(ref entered);
                    counted++; // guarded by the lock under test
                    Interlocked.Decrement(ref inside);
                }
            }
            catch (OperationCanceledException) when (giveUp)
            {
                // Gave up in time: it was never inside.
            }
        }
    }

    private void EnterAndLeave(int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            _lock.EnterAsync().Result.Dispose();
        }
    }
}
