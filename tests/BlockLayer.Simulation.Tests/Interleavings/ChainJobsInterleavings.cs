using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Pulls and commits at the same time on one chain, under guests: whatever happens, nobody ever reads a wrong byte, and headers and graph agree.</summary>
public class ChainJobsInterleavings
{
    private const int SeedCount = 120;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Jobs_on_one_chain_at_the_same_time_lose_nothing(bool fails)
    {
        var ended = new Dictionary<(string Kind, JobOutcome Outcome), int>();
        int refused = 0;
        SimulationSearch.Run(Effort.Times(SeedCount), scheduler =>
        {
            var world = new ChainJobsWorld(scheduler, fails ? CopyWorldFaults.Failures : CopyWorldFaults.None);
            world.Run();
            refused += world.Refused;
            foreach (((string, JobOutcome) how, int count) in world.Ended)
            {
                ended[how] = ended.GetValueOrDefault(how) + count;
            }
        });

        string summary = string.Join(", ", ended.OrderBy(entry => entry.Key.ToString()).Select(entry => $"{entry.Key.Kind} {entry.Key.Outcome}: {entry.Value}"));
        TestReport.Add($"jobs on one chain{(fails ? " that fails" : "")}: {summary}, refused: {refused}");
        foreach (string kind in new[] { "stream", "commit" })
        {
            foreach (JobOutcome outcome in fails ? Enum.GetValues<JobOutcome>() : [JobOutcome.Completed, JobOutcome.Cancelled])
            {
                Assert.True(ended.GetValueOrDefault((kind, outcome)) > 10, summary); // else the run proves little
            }
        }

        Assert.True(refused > 100, $"{refused} were refused");
    }
}
