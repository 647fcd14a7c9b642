using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Pulls under guests and an erratic user: whatever happens, a pull completes in the end, and nobody ever sees a wrong byte.</summary>
public class StreamInterleavings
{
    private const int SeedCount = 120;

    public static TheoryData<string> Strategies => [.. CopyStrategy.All.Select(strategy => strategy.Name)];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void A_pull_completes_under_guests_pauses_and_cancels(string strategy)
        => Check(strategy, CopyWorldFaults.None);

    [Theory]
    [MemberData(nameof(Strategies))]
    public void A_pull_completes_in_the_end_when_anything_may_fail_on_the_way(string strategy)
        => Check(strategy, CopyWorldFaults.Failures);

    private static void Check(string strategy, CopyWorldFaults faults)
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler => new StreamWorld(scheduler, CopyStrategy.All.Single(known => known.Name == strategy), faults).Run());
}
