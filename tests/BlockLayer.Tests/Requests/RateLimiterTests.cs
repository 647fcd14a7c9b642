using BlockLayer.Requests;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class RateLimiterTests
{
    private const int Step = 512 * 1024;

    [Fact]
    public void A_flow_keeps_to_its_limit_over_time()
    {
        var scheduler = new SimulationScheduler(1);
        var limiter = new RateLimiter(scheduler.Time, bytesPerSecond: 10 * Step);
        scheduler.Run(() => MoveAsync(limiter, steps: 101));
        Assert.InRange(scheduler.Elapsed.TotalSeconds, 9.9, 10.1);
    }

    [Fact]
    public void One_step_may_exceed_the_quota_and_is_paid_for_afterwards()
    {
        var scheduler = new SimulationScheduler(1);
        var limiter = new RateLimiter(scheduler.Time, bytesPerSecond: Step);
        scheduler.Run(async () =>
        {
            await limiter.WaitAsync(hasToStop: null, CancellationToken.None);
            limiter.Account(Step);
            Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
            await limiter.WaitAsync(hasToStop: null, CancellationToken.None);
        });
        Assert.Equal(TimeSpan.FromSeconds(1), scheduler.Elapsed);
    }

    [Fact]
    public void A_pause_is_not_saved_up_for_a_burst()
    {
        var scheduler = new SimulationScheduler(1);
        var limiter = new RateLimiter(scheduler.Time, bytesPerSecond: 10 * Step);
        scheduler.Run(async () =>
        {
            await MoveAsync(limiter, steps: 1);
            await Task.Delay(TimeSpan.FromSeconds(60), scheduler.Time);
            await MoveAsync(limiter, steps: 21);
        });
        Assert.InRange(scheduler.Elapsed.TotalSeconds, 61.9, 62.1);
    }

    [Fact]
    public async Task A_sleep_that_is_longer_than_a_timer_takes_is_slept_all_the_same()
    {
        var limiter = new RateLimiter(TimeProvider.System, bytesPerSecond: 1);
        limiter.Account(1L << 40);
        using var end = new CancellationTokenSource();
        ValueTask<bool> sleep = limiter.WaitAsync(hasToStop: null, end.Token);
        Assert.False(sleep.IsCompleted);
        end.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await sleep);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1000 * Step)]
    public void A_higher_limit_or_none_wakes_a_sleeper(long bytesPerSecond)
    {
        var scheduler = new SimulationScheduler(1);
        var limiter = new RateLimiter(scheduler.Time, bytesPerSecond: 1);
        scheduler.Spawn("sleeper", async () =>
        {
            limiter.Account(Step);
            await limiter.WaitAsync(hasToStop: null, CancellationToken.None);
        });
        scheduler.Spawn("user", async () =>
        {
            await Task.Delay(TimeSpan.FromSeconds(5), scheduler.Time);
            limiter.BytesPerSecond = bytesPerSecond;
        });
        scheduler.Run();
        Assert.InRange(scheduler.Elapsed.TotalSeconds, 5, 5.01);
    }

    [Fact]
    public void No_limit_never_sleeps()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(() => MoveAsync(new RateLimiter(scheduler.Time, bytesPerSecond: 0), steps: 1000));
        Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
    }

    private static async Task MoveAsync(RateLimiter limiter, int steps)
    {
        for (int i = 0; i < steps; i++)
        {
            await limiter.WaitAsync(hasToStop: null, CancellationToken.None);
            limiter.Account(Step);
        }
    }
}
