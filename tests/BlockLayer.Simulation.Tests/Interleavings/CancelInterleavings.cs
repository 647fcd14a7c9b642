using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>What a cancel answers is true, whenever it comes and whatever else ends the job at that moment.</summary>
public class CancelInterleavings
{
    [Fact]
    public void A_job_ends_as_a_cancel_has_said()
    {
        int seeds = Effort.Times(150);
        var answers = new Dictionary<(bool Answer, JobOutcome Outcome), int>();
        for (ulong seed = 1; seed <= (ulong)seeds; seed++)
        {
            foreach ((bool answer, JobOutcome outcome) in new CancelWorld(seed).Run())
            {
                answers[(answer, outcome)] = answers.GetValueOrDefault((answer, outcome)) + 1;
            }
        }

        TestContext.Current.TestOutputHelper!.WriteLine(string.Join(Environment.NewLine, answers));
        foreach ((bool Answer, JobOutcome Outcome) met in new[]
        {
            (true, JobOutcome.Cancelled), (true, JobOutcome.Completed), (false, JobOutcome.Completed), (false, JobOutcome.Failed), (false, JobOutcome.Cancelled),
        })
        {
            Assert.True(answers.GetValueOrDefault(met) > seeds / 100, $"{met} is met {answers.GetValueOrDefault(met)} times: the seeds meet everything that there is");
        }
    }
}
