using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes.LiveCopies;

/// <summary>
/// Live copies of real images under guests, and a power failure at any moment: whoever opens the disk, or after the word that it goes over the target, finds what the
/// guests were promised.
/// </summary>
public sealed class LiveCopyCrashTests
{
    private const int Seeds = 2;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 10, RandomTornStates = 5 };

    [Theory]
    [InlineData("mirror: qcow2 to qcow2, in the background", "full", "qcow2", false)]
    [InlineData("mirror: qcow2 to qcow2, blocking", "full", "qcow2", true)]
    [InlineData("mirror: qcow2 to raw, in the background", "full", "raw", false)]
    [InlineData("mirror: newest image to qcow2, blocking", "top", "qcow2", true)]
    [InlineData("mirror: newest image to qed, in the background", "top", "qed", false)]
    [InlineData("mirror: only what is written, into a qcow2 overlay", "none", "qcow2", false)]
    [InlineData("mirror: only what is written, blocking, overlay", "none", "qcow2", true)]
    [InlineData("mirror: soft cancel, qcow2", "full-cancelled", "qcow2", false)]
    [InlineData("commit: newest image to raw, in the background", "commit", "raw", false)]
    [InlineData("commit: newest image to qcow2, blocking", "commit", "qcow2", true)]
    [InlineData("commit: soft cancel, qcow2", "commit-cancelled", "qcow2", false)]
    public async Task After_any_crash_the_disk_or_what_it_went_over_to_holds_what_was_promised(string row, string kind, string format, bool blocking)
    {
        long states = 0;
        int points = 0;
        int switched = 0;
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            var world = new LiveCopyCrashWorld(seed, new LiveCopyCrashPlan(kind, format, blocking));
            world.Run();
            states += await world.CheckCrashesAsync(s_enumeration);
            points += world.CrashPoints;
            switched += world.HasSwitched ? 1 : 0;
        }

        CrashTable.Print(row, points, states, "disk or target, flushed or later");
        Assert.True(states > 200, $"{states} states");
        Assert.Equal(kind.EndsWith("cancelled", StringComparison.Ordinal) ? 0 : Seeds, switched);
    }

    [Theory]
    [InlineData("none")]
    [InlineData("top")]
    public async Task What_was_written_before_the_job_and_flushed_after_it_is_durable(string kind)
        => await CheckAsync(new LiveCopyCrashPlan(kind, "qcow2", IsBlocking: false) { RequestsPerGuest = 0 });

    // Nobody flushes but the job, so what a lost flush loses is noticed.
    [Theory]
    [InlineData("full", "qcow2")]
    [InlineData("full", "raw")]
    [InlineData("commit", "qcow2")]
    public async Task A_target_whose_flushes_are_dropped_is_noticed(string kind, string format)
    {
        var plan = new LiveCopyCrashPlan(kind, format, IsBlocking: false) { RequestsPerGuest = 0 };
        await CheckAsync(plan);
        await Assert.ThrowsAsync<CrashCheckException>(() => CheckAsync(plan with { DropsTargetFlushes = true }));
    }

    private static async Task CheckAsync(LiveCopyCrashPlan plan)
    {
        var world = new LiveCopyCrashWorld(seed: 1, plan);
        world.Run();
        await world.CheckCrashesAsync(s_enumeration);
    }
}
