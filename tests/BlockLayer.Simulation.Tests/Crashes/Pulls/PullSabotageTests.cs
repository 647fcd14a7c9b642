using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>Mistakes that the crash tests of pulls must notice: each run breaks a promise with the mistake and keeps it without.</summary>
public sealed class PullSabotageTests
{
    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public async Task Storage_that_drops_one_flush_is_noticed(string format, bool stopsAtTemplate)
    {
        PullPlan plan = QuietPlan(format, stopsAtTemplate);
        var honest = new DroppedFlush(number: -1);
        Assert.Null(await FindBrokenPromiseAsync(plan, seed: 1, new PullSabotage { Hook = honest }));

        int noticed = 0;
        for (int flush = 0; flush < honest.Count; flush++)
        {
            noticed += await FindBrokenPromiseAsync(plan, seed: 1, new PullSabotage { Hook = new DroppedFlush(flush) }) is null ? 0 : 1;
        }

        // The flushes of the data, of the tables and of the header are needed each. Where a name is written, its flush makes up for a lost one of the tables.
        Assert.InRange(noticed, 3, honest.Count);
    }

    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public async Task Header_written_before_the_flush_is_noticed(string format, bool stopsAtTemplate)
    {
        PullPlan plan = QuietPlan(format, stopsAtTemplate);
        Assert.Null(await FindBrokenPromiseAsync(plan, seed: 1, new PullSabotage()));
        Assert.NotNull(await FindBrokenPromiseAsync(plan, seed: 1, new PullSabotage { Hook = new HeaderBeforeFlush() }));
    }

    [Fact]
    public async Task Released_clusters_that_are_reused_at_once_are_noticed()
    {
        var plan = new PullPlan("qcow2", HasIntermediate: false, StopsAtTemplate: false) { GuestCount = 3, RequestsPerGuest = 24 };
        var reusing = new PullSabotage
        {
            Formats = new FormatRegistry(new Qcow2Format(new Qcow2OpenOptions { ReusePolicy = new AtOnce() }), QedFormat.Instance, RawFormat.Instance),
        };
        int noticed = 0;
        for (ulong seed = 1; seed <= 6; seed++)
        {
            Assert.Null(await FindBrokenPromiseAsync(plan, seed, new PullSabotage()));
            noticed += await FindBrokenPromiseAsync(plan, seed, reusing) is null ? 0 : 1;
        }

        Assert.True(noticed > 0, "no test would notice a missing quarantine");
    }

    // No guests: what is lost is lost by the pull alone.
    private static PullPlan QuietPlan(string format, bool stopsAtTemplate) => new(format, HasIntermediate: stopsAtTemplate, stopsAtTemplate) { GuestCount = 0 };

    private static async Task<Exception?> FindBrokenPromiseAsync(PullPlan plan, ulong seed, PullSabotage sabotage)
    {
        using PullWorld world = await PullWorld.CreateAsync(plan, seed, sabotage);
        try
        {
            world.Run();
            await world.CheckCrashesAsync(new CrashEnumeration { RandomSubsets = 60, TornWrites = false });
            return null;
        }
        catch (Exception error) when (error is CrashCheckException or SectorOracleException)
        {
            return error;
        }
    }

    /// <summary>The mistake that the quarantine of released clusters prevents.</summary>
    private sealed class AtOnce : ClusterReusePolicy
    {
        internal override bool MayReuse(ReleasedRun released, long durableDrop, long epoch) => true;
    }
}
