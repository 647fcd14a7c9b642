using System.Runtime.CompilerServices;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class CompletionTests
{
    private readonly Completion _completion = new();

    [Fact]
    public async Task All_who_wait_are_resumed_in_order()
    {
        var order = new List<int>();
        Task[] waiting = [.. Enumerable.Range(0, 5).Select(WaitAsync)];
        Assert.False(_completion.IsCompleted);
        Assert.Empty(order);

        _completion.Complete();

        await Task.WhenAll(waiting);
        Assert.Equal(Enumerable.Range(0, 5), order);
        Assert.True(_completion.IsCompleted);
        Assert.True(_completion.WaitAsync(new CancellationToken(canceled: true)).IsCompletedSuccessfully); // it has happened: nothing to cancel

        async Task WaitAsync(int number)
        {
            await _completion.WaitAsync();
            order.Add(number);
        }
    }

    [Fact]
    public async Task A_failure_is_given_to_all_who_wait_and_all_who_come()
    {
        Task waiting = _completion.WaitAsync().AsTask();
        _completion.Fail(new InvalidDataException("no"));
        await Assert.ThrowsAsync<InvalidDataException>(() => waiting);
        await Assert.ThrowsAsync<InvalidDataException>(async () => await _completion.WaitAsync());
    }

    [Fact]
    public async Task Cancelling_takes_out_one_waiter()
    {
        using var cancellation = new CancellationTokenSource();
        Task cancelled = _completion.WaitAsync(cancellation.Token).AsTask();
        Task other = _completion.WaitAsync().AsTask();

        cancellation.Cancel();

        await Assert.ThrowsAsync<OperationCanceledException>(() => cancelled);
        Assert.False(other.IsCompleted);
        _completion.Complete();
        await other;
    }

    [Fact]
    public async Task A_token_that_has_fired_is_refused_while_there_is_something_to_wait_for()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await _completion.WaitAsync(new CancellationToken(canceled: true)));
        Assert.False(_completion.IsCompleted);
    }

    [Fact]
    public void What_a_waiter_does_when_resumed_comes_after_the_completing_frame()
    {
        bool resumed = false;
        _ = WaitAsync();
        using (ReadyList.Enter())
        {
            _completion.Complete();
            Assert.False(resumed);
        }

        Assert.True(resumed);

        async Task WaitAsync()
        {
            await _completion.WaitAsync();
            resumed = true;
        }
    }

    // A long-lived token would otherwise collect every waiter that another thread resumed in the moment before it was armed.
    [Fact]
    public void A_waiter_that_was_resumed_before_its_token_was_armed_is_not_kept_by_the_token()
    {
        using var cancellation = new CancellationTokenSource();
        WeakReference waiter = ResumeThenArm(cancellation.Token);
        GC.Collect();
        Assert.False(waiter.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference ResumeThenArm(CancellationToken token)
    {
        var waiter = new Waiter<bool>();
        Assert.True(waiter.TryGrant(true));
        ReadyList.Post(waiter);
        Assert.True(waiter.Task.IsCompletedSuccessfully);
        waiter.ArmCancellation(token);
        return new WeakReference(waiter);
    }
}
