using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>Whatever is done to a running disk's chain, by several users at once, the guest sees its own writes and the files show the same afterwards.</summary>
public sealed class LiveChainSimulations
{
    private const int SeedCount = 100;

    [Fact]
    public void Snapshots_pulls_commits_and_rebases_of_a_running_disk_lose_nothing()
    {
        var done = new Dictionary<string, int>();
        SimulationSearch.Run(Effort.Times(SeedCount), scheduler =>
        {
            var world = new LiveChainWorld(scheduler);
            world.Run();
            foreach ((string what, int count) in world.Done)
            {
                done[what] = done.GetValueOrDefault(what) + count;
            }
        });

        string summary = string.Join(", ", done.OrderBy(static entry => entry.Key, StringComparer.Ordinal).Select(static entry => $"{entry.Key}: {entry.Value}"));
        TestReport.Add($"live chains: {summary}");
        foreach (string what in new[] { "snapshot", "stream Completed", "stream Cancelled", "commit Completed", "commit Cancelled", "rebase Completed", "refused" })
        {
            Assert.True(done.GetValueOrDefault(what) > 3, $"{what}: {summary}"); // else the run proves little
        }
    }
}
