using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Random guests over a filling image, in orders that a seed decides: no stale byte, no lost write, no double fetch, nobody waits for ever.</summary>
public class CopyOnReadInterleavings
{
    private const int SeedCount = 120;

    public static TheoryData<string> Strategies => [.. CopyStrategy.All.Select(strategy => strategy.Name)];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Guests_see_what_was_written_and_the_image_ends_complete(string strategy)
        => Check(strategy, CopyWorldFaults.None);

    [Theory]
    [MemberData(nameof(Strategies))]
    public void The_same_holds_when_reads_stores_and_guest_writes_fail(string strategy)
        => Check(strategy, CopyWorldFaults.Failures);

    [Fact]
    public void An_image_that_stores_copies_without_looking_again_is_caught()
    {
        SimulationSearchException caught = Assert.Throws<SimulationSearchException>(
            () => Check(CopyStrategy.Cancel.Name, CopyWorldFaults.BlindPopulate));
        Assert.Contains("holds the bytes of writer", caught.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_runs_meet_every_case_that_the_queue_knows()
    {
        var met = new List<CopyStatistics>();
        foreach (CopyStrategy strategy in new[] { CopyStrategy.Cancel, CopyStrategy.Wait })
        {
            for (ulong seed = 1; seed <= 100; seed++)
            {
                var world = new CopyWorld(new SimulationScheduler(seed), strategy, CopyWorldFaults.Failures);
                world.Run();
                met.Add(world.Statistics);
            }
        }

        Assert.All(
            new Func<CopyStatistics, long>[]
            {
                run => run.Joined, run => run.Cancelled, run => run.Revived, run => run.GuestWaits, run => run.WithoutMemory, run => run.FailedStores,
            },
            count => Assert.InRange(met.Sum(count), 3, long.MaxValue));
    }

    private static void Check(string strategy, CopyWorldFaults faults)
        => SimulationSearch.Run(Effort.Times(SeedCount), scheduler => new CopyWorld(scheduler, CopyStrategy.All.Single(known => known.Name == strategy), faults).Run());
}
