using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class GuestPriorityTests
{
    [Fact]
    public void A_job_waits_while_guests_do_and_goes_on_soon_after_they_are_served()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 2);
        priority.Enter();
        priority.Enter();
        scheduler.Spawn("job", async () =>
        {
            await priority.WaitForTurnAsync(CancellationToken.None);
            Assert.InRange(scheduler.Elapsed.TotalMilliseconds, 30, 32);
        });
        scheduler.Spawn("guest", async () =>
        {
            await Task.Delay(TimeSpan.FromMilliseconds(30), scheduler.Time);
            priority.Leave();
        });
        scheduler.Run();
    }

    [Fact]
    public void Guests_that_never_end_leave_a_job_one_step_every_100_ms()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 1);
        priority.Enter();
        scheduler.Run(async () =>
        {
            for (int step = 0; step < 10; step++)
            {
                await priority.WaitForTurnAsync(CancellationToken.None);
            }
        });
        Assert.InRange(scheduler.Elapsed.TotalMilliseconds, 1000, 1010);
    }

    [Fact]
    public void A_guest_that_comes_back_at_once_is_not_overtaken_between_two_requests()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 1);
        bool done = false;
        priority.Enter();
        scheduler.Spawn("guest", async () =>
        {
            while (!done)
            {
                await Pause.ForAsync(TimeSpan.FromMicroseconds(200), scheduler.Time, CancellationToken.None);
                priority.Leave();
                await scheduler.StepAsync();
                priority.Enter();
            }
        });
        scheduler.Run(async () =>
        {
            await priority.WaitForTurnAsync(CancellationToken.None);
            Assert.InRange(scheduler.Elapsed.TotalMilliseconds, 100, 101);
            done = true;
        });
    }

    [Fact]
    public void It_is_quiet_a_while_after_the_last_guest()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 1);
        Assert.True(priority.IsQuiet);
        priority.Enter();
        Assert.False(priority.IsQuiet);
        scheduler.Advance(TimeSpan.FromSeconds(1));
        Assert.False(priority.IsQuiet);
        priority.Leave();
        scheduler.Advance(TimeSpan.FromMilliseconds(99));
        Assert.False(priority.IsQuiet);
        scheduler.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(priority.IsQuiet);
    }

    [Fact]
    public void Few_guests_do_not_hold_a_job_back()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 2);
        priority.Enter();
        scheduler.Run(async () => await priority.WaitForTurnAsync(CancellationToken.None));
        Assert.Equal(TimeSpan.Zero, scheduler.Elapsed);
    }
}
