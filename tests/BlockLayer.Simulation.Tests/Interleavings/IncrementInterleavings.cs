using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Pulls in increments by several callers: they come to their end, nobody sees a wrong byte, and all of them together cost what one pull costs.</summary>
public class IncrementInterleavings
{
    private const int SeedCount = 30;

    public static TheoryData<string> Strategies => [.. CopyStrategy.All.Select(strategy => strategy.Name)];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Increments_of_several_callers_complete_under_guests(string strategy)
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler => new IncrementWorld(scheduler, Named(strategy), CopyWorldFaults.None).RunWithGuests(callers: 3));

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Increments_complete_in_the_end_when_anything_may_fail_on_the_way(string strategy)
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler => new IncrementWorld(scheduler, Named(strategy), CopyWorldFaults.Failures).RunWithGuests(callers: 2));

    [Fact]
    public void Increments_store_what_one_pull_does_and_read_no_more_and_nothing_twice()
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler =>
        {
            var increments = new IncrementWorld(scheduler, CopyStrategy.Cancel, CopyWorldFaults.None);
            increments.RunQuietly(callers: 1);
            var whole = new IncrementWorld(new SimulationScheduler(scheduler.Seed), CopyStrategy.Cancel, CopyWorldFaults.None); // the same chain
            whole.RunWhole();
            Assert.InRange(increments.Probe.MostFetches, 0, 1);
            Assert.Empty(increments.Probe.FetchedUnits.Except(whole.Probe.FetchedUnits)); // a longer step may read over what lies between two places
            Assert.Equal(whole.AllocatedClusters, increments.AllocatedClusters);
            Assert.Equal(0, increments.Probe.PlainReads + whole.Probe.PlainReads);
        });

    private static CopyStrategy Named(string name) => CopyStrategy.All.Single(strategy => strategy.Name == name);
}
