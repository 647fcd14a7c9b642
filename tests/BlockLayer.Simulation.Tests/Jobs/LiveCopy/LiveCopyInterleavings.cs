using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>Live copies under guests and an erratic user: whatever happens, nobody ever sees a wrong byte, and a copy that ended well is the disk of that moment.</summary>
public class LiveCopyInterleavings
{
    private const int SeedCount = 40;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Disks_go_from_copy_to_copy_under_guests(bool fails)
    {
        int endedWell = 0;
        SimulationSearch.Run(Effort.Times(SeedCount), scheduler =>
        {
            var world = new LiveCopyWorld(scheduler, fails);
            world.Run();
            endedWell += world.EndedWell;
        });
        Assert.True(endedWell > SeedCount, $"only {endedWell} copies ended well, so little was tried");
    }

    [Theory]
    [InlineData("ForgetsFailures", true)]
    [InlineData("MarksTooEarly", false)]
    [InlineData("ForgetsDiscards", false)]
    public void A_copy_that_loses_track_is_noticed(string mistake, bool fails)
        => Assert.Throws<SimulationSearchException>(() => SimulationSearch.Run(
            SeedCount, scheduler => new LiveCopyWorld(scheduler, fails, Enum.Parse<LiveCopyMistake>(mistake)).Run()));
}
