using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>
/// Whole pulls, with guests at work, crashed at every point: every subset of up to 10 unflushed writes, beyond that every prefix, every single loss and 200
/// seeded subsets, writes torn at 512 bytes.
/// </summary>
public abstract class PullCrashTests(string format)
{
    public static TheoryData<bool, bool> Chains => new() { { false, false }, { true, true }, { true, false } };

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task After_any_crash_of_a_pull_every_sector_holds_its_last_flushed_value_or_one_written_since(bool hasIntermediate, bool stopsAtTemplate)
    {
        long states = 0;
        for (ulong seed = 1; seed <= 5; seed++)
        {
            var plan = new PullPlan(format, hasIntermediate, stopsAtTemplate) { RequestsPerGuest = 8, Strategy = StrategyOf(seed) };
            using PullWorld world = await PullWorld.CreateAsync(plan, seed);
            world.Run();
            states += await world.CheckCrashesAsync();
        }

        Assert.True(states > 1000, $"{states} states prove little");
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task After_any_crash_of_a_pull_that_was_cancelled_and_run_again_nothing_is_lost(bool hasIntermediate, bool stopsAtTemplate)
    {
        int cancelled = 0;
        for (ulong seed = 1; seed <= 8; seed++)
        {
            var plan = new PullPlan(format, hasIntermediate, stopsAtTemplate)
            {
                IsCancelledFirst = true,
                Geometry = (int)seed,
                RequestsPerGuest = 3,
                Strategy = StrategyOf(seed),
            };
            using PullWorld world = await PullWorld.CreateAsync(plan, seed);
            world.Run();
            cancelled += world.WasCancelled ? 1 : 0;
            await world.CheckCrashesAsync(new CrashEnumeration { ExhaustiveLimit = 6, RandomSubsets = 24, TornWrites = false });
        }

        Assert.InRange(cancelled, 2, 8);
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task After_any_crash_of_a_quiet_pull_the_chain_is_the_old_or_the_new_one_and_reads_the_same(bool hasIntermediate, bool stopsAtTemplate)
    {
        using PullWorld world = await PullWorld.CreateAsync(new PullPlan(format, hasIntermediate, stopsAtTemplate) { GuestCount = 0 }, seed: 1);
        world.Run();
        await world.CheckCrashesAsync();
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task After_any_crash_of_a_pull_it_is_run_again_and_completes(bool hasIntermediate, bool stopsAtTemplate)
    {
        using PullWorld world = await PullWorld.CreateAsync(new PullPlan(format, hasIntermediate, stopsAtTemplate) { RequestsPerGuest = 4 }, seed: 2);
        world.Run();
        await world.CheckRerunsAsync(new CrashEnumeration { ExhaustiveLimit = 5, RandomSubsets = 16, TornWrites = false });
    }

    private static CopyStrategy StrategyOf(ulong seed) => CopyStrategy.All.ElementAt((int)(seed % (ulong)CopyStrategy.All.Count));
}

/// <inheritdoc/>
public sealed class Qcow2PullCrashTests() : PullCrashTests("qcow2");

/// <inheritdoc/>
public sealed class QedPullCrashTests() : PullCrashTests("qed");
