using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class CopyMemoryTests
{
    [Fact]
    public void A_reservation_is_all_or_nothing()
    {
        var memory = new CopyMemory(100);
        Assert.True(memory.TryReserve(60));
        Assert.False(memory.TryReserve(60));
        Assert.Equal(60, memory.Reserved);
        Assert.True(memory.TryReserve(40));
    }

    [Fact]
    public async Task Those_who_wait_are_served_in_order_and_before_those_who_only_try()
    {
        var memory = new CopyMemory(100);
        Assert.True(memory.TryReserve(100));
        Task<bool> large = memory.ReserveAsync(80, CancellationToken.None).AsTask();
        Task<bool> small = memory.ReserveAsync(10, CancellationToken.None).AsTask();
        memory.Release(20);
        Assert.False(large.IsCompleted);
        Assert.False(small.IsCompleted, "the small one passed the large one");
        Assert.False(memory.TryReserve(5), "one who only tries passed those who wait");
        memory.Release(80);
        Assert.True(await large);
        Assert.True(await small);
        Assert.Equal(90, memory.Reserved);
    }

    [Fact]
    public async Task A_cancelled_waiter_gets_nothing_and_holds_nobody_up()
    {
        var memory = new CopyMemory(100);
        Assert.True(memory.TryReserve(100));
        using var cancellation = new CancellationTokenSource();
        Task<bool> large = memory.ReserveAsync(100, cancellation.Token).AsTask();
        Task<bool> small = memory.ReserveAsync(10, CancellationToken.None).AsTask();
        cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        memory.Release(10);
        Assert.True(await small);
        Assert.Equal(100, memory.Reserved);
    }
}
