using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Pulls under guests and an erratic user: whatever happens, a pull completes in the end, and nobody ever sees a wrong byte.</summary>
public class StreamInterleavings
{
    private const int SeedCount = 250;

    public static TheoryData<string> Strategies => [.. CopyStrategy.All.Select(strategy => strategy.Name)];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void A_pull_completes_under_guests_pauses_and_cancels(string strategy)
        => Check(nameof(A_pull_completes_under_guests_pauses_and_cancels), strategy, CopyWorldFaults.None);

    [Theory]
    [MemberData(nameof(Strategies))]
    public void A_pull_completes_in_the_end_when_anything_may_fail_on_the_way(string strategy)
        => Check(nameof(A_pull_completes_in_the_end_when_anything_may_fail_on_the_way), strategy, CopyWorldFaults.Failures);

    private static void Check(string test, string strategy, CopyWorldFaults faults)
        => Seeds.Check(
            $"{nameof(StreamInterleavings)}.{test}",
            SeedCount,
            seed => new StreamWorld(seed, CopyStrategy.All.Single(known => known.Name == strategy), faults).Run());
}
