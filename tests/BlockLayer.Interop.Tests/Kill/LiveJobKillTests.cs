using BlockLayer.KillHost;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// Commits and live copies of real files under guests who report their flushes, killed by SIGKILL. Whatever the moment: the chain that the program was told of is sound for QEMU's
/// programs and holds every flush that a guest was told of, and the job runs again to its end.
/// </summary>
/// <remarks>How often: <c>BLK_EFFORT</c> multiplies the calls and moments that are tried.</remarks>
public sealed class LiveJobKillTests
{
    private const int RequestsThatProve = 20; // before the kill

    private static readonly string[] s_jobs = ["commit", "active-commit", "mirror"];

    private readonly KillVerdict _verdict = new(QemuTool.Require("qemu-img"));

    public static TheoryData<string, string, string> Stages
    {
        get
        {
            var stages = new TheoryData<string, string, string>();
            foreach (string job in s_jobs)
            {
                foreach (KillPoint point in Enum.GetValues<KillPoint>())
                {
                    stages.Add(job, point.ToString(), "qcow2");
                    if (point is KillPoint.Copying or KillPoint.AfterSwitch)
                    {
                        stages.Add(job, point.ToString(), "qed");
                    }
                }
            }

            return stages;
        }
    }

    public static TheoryData<string> Jobs => [.. s_jobs];

    [Theory]
    [MemberData(nameof(Stages))]
    public async Task Killed_at_a_call_to_storage_nothing_that_was_promised_is_lost(string job, string point, string format)
    {
        int[] calls = point switch
        {
            nameof(KillPoint.Copying) => [.. Enumerable.Range(0, Effort.Times(1)).Select(i => 3 + (i * 7))],
            nameof(KillPoint.Finishing) => [.. Enumerable.Range(0, Effort.Times(3)).Select(i => i * 2)],
            _ => [0],
        };
        foreach (int before in calls)
        {
            using KilledJob killed = await KilledJob.RunAsync(job, format, point, before, seed: (ulong)before + 1);
            Assert.True(killed.Report is { Writes: > RequestsThatProve, Flushes: > 1 }, $"{killed.Report.Writes} writes and {killed.Report.Flushes} flushes prove little");
            AssertReached(killed, Enum.Parse<KillPoint>(point));
            await _verdict.AssertKeptAsync(killed);
        }
    }

    [Theory]
    [MemberData(nameof(Jobs))]
    public async Task Killed_at_any_moment_nothing_that_was_promised_is_lost(string job)
    {
        await Seeds.CheckAsync($"{nameof(LiveJobKillTests)}.{nameof(Killed_at_any_moment_nothing_that_was_promised_is_lost)}", count: 3, async seed =>
        {
            int lines = 50 << new SeededRandom(seed).Next(7); // of the guests' report, from the first requests on
            using KilledJob killed = await KilledJob.RunAsync(job, "qcow2", nameof(KillPoint.AfterSuccess), callsBefore: 0, seed, lines);
            await _verdict.AssertKeptAsync(killed);
        });
    }

    // What was written before a SIGKILL is in the page cache: a header that was changed is the header, and a record that was made the record.
    private static void AssertReached(KilledJob killed, KillPoint point)
    {
        bool isTold = killed.Lines.Contains(GuestRun.Told);
        switch (point)
        {
            case KillPoint.BeforeSwitch:
                Assert.False(killed.IsSwitched || isTold);
                break;
            case KillPoint.AfterSwitch or KillPoint.AfterSwitchFlush:
                Assert.True(killed.IsSwitched);
                break;
            case KillPoint.AfterSuccess:
                Assert.True(killed.IsSwitched && isTold);
                break;
        }
    }
}
