using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Systems;

/// <summary>The whole library under seeds; in parts, so that they run beside each other. <c>blk simulate --first SEED --seeds 1 --trace</c> repeats one.</summary>
public abstract class SystemSeedTests(int part)
{
    private const int Parts = 4;

    private static readonly Corner[] s_rare = [Corner.SnapshotsBesideJobs, Corner.ResizesBesideJobs]; // a part may be without

    [Fact]
    public void Every_promise_is_kept_under_guests_jobs_faults_and_crashes()
    {
        int seeds = Effort.Times(2000) / Parts;
        SystemReport total = RunSeeds("whole systems", new SystemOptions(), seeds);
        Assert.All(
            new Func<SystemReport, long>[]
            {
                run => run.Completed, run => run.Cancelled, run => run.Failed, run => run.Refused, run => run.Parallel, run => run.Nested, run => run.Snapshots,
                run => run.InternalSnapshots, run => run.KeptStates, run => run.Resizes, run => run.Backups, run => run.Faults, run => run.FailedRequests, run => run.Restarts,
            },
            count => Assert.True(count(total) > seeds / 100, "the seeds meet everything that there is"));
        Assert.All(Enum.GetValues<Corner>().Except(s_rare), corner => Assert.True(total.Corners[corner] > 0, $"the seeds come to {corner}"));
    }

    // Who fails next to others fails differently: repeated by blk simulate --disks 4 --guests 3 --operators 6.
    [Fact]
    public void Every_promise_is_kept_where_many_work_on_many_disks()
    {
        int seeds = Effort.Times(400) / Parts;
        SystemReport total = RunSeeds("crowded systems", new SystemOptions { MaxDisks = 4, Guests = 3, Operators = 6 }, seeds);
        Assert.True(total.Parallel > seeds / 4, "jobs run beside each other");
    }

    private SystemReport RunSeeds(string what, SystemOptions options, int seeds)
    {
        ulong first = 1 + ((ulong)part * (ulong)seeds);
        var total = new SystemReport(first);
        for (ulong seed = first; seed < first + (ulong)seeds; seed++)
        {
            total = total.Plus(SystemRun.Run(seed, options));
        }

        CrashTable.Print($"{what}, seeds {first} to {first + (ulong)seeds - 1}", total.CrashPoints, total.CrashStates, $"{total}; {total.Corners}");
        return total;
    }
}

public sealed class SystemSeedsOfTheFirstPart() : SystemSeedTests(0);

public sealed class SystemSeedsOfTheSecondPart() : SystemSeedTests(1);

public sealed class SystemSeedsOfTheThirdPart() : SystemSeedTests(2);

public sealed class SystemSeedsOfTheFourthPart() : SystemSeedTests(3);
