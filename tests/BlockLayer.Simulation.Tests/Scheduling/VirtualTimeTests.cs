using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Simulation.Tests.Scheduling;

public class VirtualTimeTests
{
    private readonly SimulationScheduler _scheduler = new(3);

    [Fact]
    public void A_day_passes_at_once_and_both_clocks_show_it()
    {
        long before = _scheduler.Time.GetTimestamp();
        DateTimeOffset date = _scheduler.Time.GetUtcNow();
        _scheduler.Run(() => Task.Delay(TimeSpan.FromDays(1), _scheduler.Time));
        Assert.Equal(TimeSpan.FromDays(1), _scheduler.Time.GetElapsedTime(before));
        Assert.Equal(TimeSpan.FromDays(1), _scheduler.Time.GetUtcNow() - date);
        Assert.Equal(new DateTimeOffset(2030, 1, 2, 0, 0, 0, TimeSpan.Zero), _scheduler.Time.GetUtcNow());
    }

    [Fact]
    public void Timers_ring_in_the_order_of_their_time_whatever_the_seed()
    {
        var rung = new List<int>();
        _scheduler.Run(() => Task.WhenAll(new[] { 5, 1, 3, 2, 4 }.Select(async seconds =>
        {
            await Task.Delay(TimeSpan.FromSeconds(seconds), _scheduler.Time);
            rung.Add(seconds);
        })));
        Assert.Equal([1, 2, 3, 4, 5], rung);
    }

    [Fact]
    public void Time_stands_still_while_anything_can_run()
    {
        _scheduler.Spawn("sleeper", () => Task.Delay(TimeSpan.FromMilliseconds(1), _scheduler.Time));
        _scheduler.Spawn("runner", async () =>
        {
            for (int i = 0; i < 100; i++)
            {
                Assert.Equal(TimeSpan.Zero, _scheduler.Elapsed);
                await _scheduler.StepAsync();
            }
        });
        _scheduler.Run();
    }

    [Fact]
    public void A_periodic_timer_rings_until_it_is_disposed()
    {
        int rings = 0;
        using ITimer timer = _scheduler.Time.CreateTimer(_ => rings++, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
        _scheduler.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(5, rings); // at 1, 3, 5, 7 and 9 seconds
        timer.Dispose();
        Assert.False(timer.Change(TimeSpan.FromSeconds(1), TimeSpan.Zero));
        _scheduler.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(5, rings);
        Assert.Equal(TimeSpan.FromSeconds(20), _scheduler.Elapsed);
    }

    [Fact]
    public void A_changed_timer_forgets_its_old_time()
    {
        var rung = new List<TimeSpan>();
        using ITimer timer = _scheduler.Time.CreateTimer(_ => rung.Add(_scheduler.Elapsed), null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        timer.Change(TimeSpan.FromSeconds(5), Timeout.InfiniteTimeSpan);
        _scheduler.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([TimeSpan.FromSeconds(5)], rung);
    }

    [Fact]
    public void Time_does_not_run_to_a_timer_that_was_cancelled()
    {
        _scheduler.Run(async () =>
        {
            using var stop = new CancellationTokenSource();
            Task sleeping = Pause.ForAsync(TimeSpan.FromHours(1), _scheduler.Time, stop.Token).AsTask();
            await _scheduler.StepAsync();
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sleeping);
            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
        });
        Assert.Equal(TimeSpan.FromSeconds(1), _scheduler.Elapsed);
        _scheduler.Spawn("stuck", () => new TaskCompletionSource().Task);
        Assert.Throws<SimulationDeadlockException>(_scheduler.Run);
        Assert.Equal(TimeSpan.FromSeconds(1), _scheduler.Elapsed);
    }

    [Fact]
    public void A_timeout_given_the_clock_cancels_in_virtual_time()
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(5), _scheduler.Time);
        _scheduler.Run(() => Assert.ThrowsAnyAsync<OperationCanceledException>(() => Pause.ForAsync(TimeSpan.FromHours(1), _scheduler.Time, stop.Token).AsTask()));
        Assert.Equal(TimeSpan.FromMinutes(5), _scheduler.Elapsed);
    }
}
