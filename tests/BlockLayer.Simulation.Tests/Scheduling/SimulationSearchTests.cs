using Xunit;

namespace BlockLayer.Simulation.Tests.Scheduling;

public class SimulationSearchTests
{
    [Fact]
    public void The_seeds_that_were_asked_for_run_wherever_they_begin()
    {
        var seeds = new SortedSet<ulong>();
        SimulationSearch.Run(3, scheduler => seeds.Add(scheduler.Seed), firstSeed: ulong.MaxValue);
        Assert.Equal([0, 1, ulong.MaxValue], seeds);
        Assert.Throws<ArgumentOutOfRangeException>(() => SimulationSearch.Run(-1, static _ => { }));
    }

    [Fact]
    public void A_lost_update_is_found_and_its_line_repeats_it()
    {
        var error = Assert.Throws<SimulationSearchException>(() => SimulationSearch.Run(100, LoseAnUpdate));
        string line = error.Message.Split(Environment.NewLine)[0];
        Assert.Equal(error.Options.ToString(), line);
        var again = Assert.Throws<SimulationSearchException>(() => SimulationSearch.Repeat(line, LoseAnUpdate));
        Assert.Equal(error.Message, again.Message);
    }

    [Fact]
    public void A_search_runs_the_orders_without_a_seed_once_and_the_others_with_every_seed()
    {
        var seeds = new List<ulong>();
        SimulationSearch.Run(2, scheduler => seeds.Add(scheduler.Seed), firstSeed: 5);
        Assert.Equal([0, 0, 5, 5, 6, 6], seeds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("seed=x order=Random")]
    [InlineData("seed=1 order=Sorted")]
    public void A_line_that_names_no_run_is_refused(string line)
        => Assert.Throws<FormatException>(() => SimulationOptions.Parse(line));

    /// <summary>Two strands add to a number that they read before they wait.</summary>
    private static void LoseAnUpdate(SimulationScheduler scheduler)
    {
        int value = 0;
        for (int i = 0; i < 2; i++)
        {
            scheduler.Spawn($"adder {i}", async () =>
            {
                int read = value;
                await scheduler.StepAsync();
                value = read + 1;
            });
        }

        scheduler.Run();
        Assert.Equal(2, value);
    }
}
