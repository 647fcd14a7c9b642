using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Breakpoints;

/// <summary>Events that come late: in their order, and never to a handler whose failure nobody sees.</summary>
public class LateEventsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Events_of_one_moment_come_in_their_order_under_every_seed(ulong seed)
    {
        var machine = new SimulatedMachine(seed);
        machine.Run(async () =>
        {
            var job = new StreamJob((await CreateChainAsync(machine)).Root);
            var atOnce = new List<JobEvent>();
            var late = new List<JobEvent>();
            job.Notified += (_, what) => atOnce.Add(what);
            LateEvents.Deliver(job, TimeSpan.FromSeconds(5), machine.Environment.Time, (_, what) => late.Add(what));
            await job.StartAsync();
            await job.Completion;
            Assert.Empty(late);
            await machine.PassAsync(TimeSpan.FromSeconds(6));
            Assert.Equal(6, atOnce.Count);
            Assert.Equal(atOnce, late);
        });
    }

    // As an assertion would.
    [Fact]
    public void What_a_handler_throws_ends_the_run()
    {
        var machine = new SimulatedMachine();
        var failure = Assert.Throws<InvalidOperationException>(() => machine.Run(async () =>
        {
            var job = new StreamJob((await CreateChainAsync(machine)).Root);
            LateEvents.Deliver(job, TimeSpan.FromSeconds(1), machine.Environment.Time, (_, what) => throw new InvalidOperationException("not what was expected"));
            await job.StartAsync();
            await job.Completion;
            await machine.PassAsync(TimeSpan.FromSeconds(2));
        }));
        Assert.Equal("not what was expected", failure.Message);
    }

    private static async Task<Disk> CreateChainAsync(SimulatedMachine machine)
    {
        await (await machine.CreateAsync("/base", 1 << 20)).DisposeAsync();
        return await machine.CreateAsync("/top", 1 << 20, "/base");
    }
}
