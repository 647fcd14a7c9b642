using BlockLayer.Formats.CowOverlay;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Systems;

/// <summary>Mistakes that the simulation of whole systems must notice within a thousand seeds: each is a broken part in the place of the right one.</summary>
public sealed class SystemSabotageTests
{
    private const ulong MostSeeds = 1000;

    [Fact]
    public void Copies_that_overwrite_what_is_allocated_are_noticed()
        => AssertCaught("copies overwrite what is allocated", With(new Qcow2OpenOptions { CopyStore = new Anywhere() }));

    [Fact]
    public void Released_clusters_that_are_reused_at_once_are_noticed()
        => AssertCaught("released clusters are reused at once", With(new Qcow2OpenOptions { ReusePolicy = new AtOnce() }));

    [Fact]
    public void One_flush_that_is_dropped_is_noticed()
        => AssertCaught("one flush is dropped", new SystemOptions { Sabotage = DropOneFlush });

    [Fact]
    public void Pulls_that_do_not_make_sure_that_everything_is_copied_are_noticed()
        => AssertCaught("a pull does not look before it ends", new SystemOptions { CopiedCheck = new Skipped() });

    [Fact]
    public void A_mistake_that_is_noticed_is_shown_in_a_smaller_run()
    {
        var broken = new SystemOptions { CopiedCheck = new Skipped(), CrashPoints = 0 };
        (ulong seed, SimulationSearchException caught) = FindFailure(broken) ?? throw new InvalidOperationException("Nothing was noticed.");
        SmallerRun smaller = SystemShrinker.Shrink(seed, broken, caught, tries: 60);
        Assert.Throws<SimulationSearchException>(() => SystemRun.Run(seed, smaller.Options));
        TestReport.Add($"| shrunk: seed {seed} | {broken.Requests} to {smaller.Options.Requests} requests of {smaller.Options.Guests} guests, {smaller.Options.Jobs} jobs of {smaller.Options.Operators} operators |");
        Assert.True(smaller.Options.Requests * smaller.Options.Guests < broken.Requests * broken.Guests, $"{smaller.Options}");
    }

    private static (ulong Seed, SimulationSearchException Failure)? FindFailure(SystemOptions broken)
    {
        for (ulong seed = 1; seed <= MostSeeds; seed++)
        {
            try
            {
                SystemRun.Run(seed, broken);
            }
            catch (SimulationSearchException caught)
            {
                return (seed, caught);
            }
        }

        return null;
    }

    private static void AssertCaught(string sabotage, SystemOptions broken)
    {
        if (FindFailure(broken) is not var (seed, caught))
        {
            Assert.Fail($"No test would notice that {sabotage}: {MostSeeds} seeds kept every promise.");
            return;
        }

        string how = caught.InnerException!.Message.ReplaceLineEndings(" ");
        TestReport.Add($"| sabotage: {sabotage,-42} | caught by seed {seed,4} | {how[..Math.Min(how.Length, 120)]} |");
        SystemRun.Run(seed); // which finds nothing without it
    }

    private static SystemOptions With(Qcow2OpenOptions qcow2)
        => new() { Formats = new FormatRegistry(new Qcow2Format(qcow2), QedFormat.Instance, CowOverlayFormat.Instance, RawFormat.Instance) };

    // Any one of those that a run makes while guests are at work: storage says that all is well, and nothing was done.
    private static void DropOneFlush(SystemRun run) => run.Machine.Storage.Faults.Add(new FaultRule
    {
        Operations = StorageOperations.Flush,
        Effect = FaultEffect.Lie,
        Skip = (long)(run.Report.Seed % 60),
        Count = 1,
    });

    private sealed class Anywhere : CopyStore
    {
        internal override ValueTask StoreAsync(Qcow2Node image, long offset, ReadOnlyMemory<byte> copy, CancellationToken cancellationToken)
            => image.WriteAsync(Origin.Edge, offset, copy, WriteFlags.None, cancellationToken);
    }

    private sealed class AtOnce : ClusterReusePolicy
    {
        internal override bool MayReuse(ReleasedRun released, long durableDrop, long epoch) => true;
    }

    private sealed class Skipped : CopiedCheck
    {
        internal override ValueTask<long?> FindLackingAsync(Origin origin, BlockNode image, BlockNode bottom, ByteRange range, CancellationToken cancellationToken) => new((long?)null);
    }
}
