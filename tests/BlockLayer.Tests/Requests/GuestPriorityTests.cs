using BlockLayer.Requests;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class GuestPriorityTests
{
    [Fact]
    public void A_job_waits_while_guests_do_and_goes_on_when_they_are_served()
    {
        var scheduler = new SimulationScheduler(1);
        var priority = new GuestPriority(scheduler.Time, limit: 2);
        priority.Enter();
        priority.Enter();
        scheduler.Spawn("job", async () =>
        {
            await priority.WaitForTurnAsync(CancellationToken.None);
            Assert.Equal(TimeSpan.FromMilliseconds(30), scheduler.Elapsed);
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
        Assert.Equal(TimeSpan.FromSeconds(1), scheduler.Elapsed);
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
