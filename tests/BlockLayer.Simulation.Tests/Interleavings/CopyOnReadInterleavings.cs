using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;
using Xunit.Sdk;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Random guests over a filling image, in orders that a seed decides: no stale byte, no lost write, no double fetch, nobody waits for ever.</summary>
public class CopyOnReadInterleavings
{
    private const int SeedCount = 250;

    public static TheoryData<string> Strategies => [.. CopyStrategy.All.Select(strategy => strategy.Name)];

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Guests_see_what_was_written_and_the_image_ends_complete(string strategy)
        => Check(nameof(Guests_see_what_was_written_and_the_image_ends_complete), strategy, CopyWorldFaults.None);

    [Theory]
    [MemberData(nameof(Strategies))]
    public void The_same_holds_when_reads_stores_and_guest_writes_fail(string strategy)
        => Check(nameof(The_same_holds_when_reads_stores_and_guest_writes_fail), strategy, CopyWorldFaults.Failures);

    [Fact]
    public void An_image_that_stores_copies_without_looking_again_is_caught()
    {
        XunitException caught = Assert.ThrowsAny<XunitException>(
            () => Check(nameof(An_image_that_stores_copies_without_looking_again_is_caught), CopyStrategy.Cancel.Name, CopyWorldFaults.BlindPopulate));
        Assert.Contains("holds the bytes of writer", caught.Message, StringComparison.Ordinal);
    }

    private static void Check(string test, string strategy, CopyWorldFaults faults)
        => Seeds.Check(
            $"{nameof(CopyOnReadInterleavings)}.{test}",
            SeedCount,
            seed => new CopyWorld(seed, CopyStrategy.All.Single(known => known.Name == strategy), faults).Run());
}
