using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>
/// A snapshot of two disks is deleted under guests, who write durably while the disks switch too, and the power fails at any moment: either the snapshot is there, unmarked, with all of its files, or it is gone with those that go; and
/// the other snapshot shows what it did.
/// </summary>
public class SnapshotDeletionCrashTests
{
    // The first two are that it begins, and that disks may switch from now on.
    private static readonly FaultRule s_switchedIsNoted = new() { Operations = StorageOperations.Rename, Path = "/meta/vm.snapshots.xml.new", Skip = 2 };

    [Theory]
    [InlineData("s2", Backward, Backward)]
    [InlineData("s2", Forward, Backward)]
    [InlineData("s1", Backward, Forward)]
    public async Task After_any_crash_the_next_start_finishes_or_takes_back(string snapshot, MergeDirection vda, MergeDirection vdb)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 1; seed <= (ulong)Effort.Times(3); seed++)
        {
            (int seen, long tried) = await RunAsync(seed, snapshot, vda, vdb);
            points += seen;
            states += tried;
        }

        string where = snapshot == "s2" ? "current" : "older";
        CrashTable.Print($"snapshot delete: {where}, vda {vda}, vdb {vdb}".ToLowerInvariant(), points, states, "both disks owed data, deleted or not at all");
        Assert.True(states > 200, $"{states} states");
    }

    // A disk whose flushes lie loses what was merged, so a test that does not notice proves nothing.
    [Fact]
    public async Task A_staying_file_whose_flushes_lie_is_noticed()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/a.s1", Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, "s2", Backward, Backward, lie));
    }

    // The note of the active image is what tells the next start where the guest's data is.
    [Fact]
    public async Task Notes_whose_flushes_lie_are_noticed()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = "/meta/vm.snapshots.xml.new", Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, "s2", Backward, Backward, lie));
    }

    // A request that comes by an edge is inside already, and no drain holds it back. It is done while no note says yet that the older image is active; a crash then merges the newer over it.
    [Fact]
    public async Task Guests_that_are_not_held_back_while_the_disks_switch_are_noticed()
        => await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, "s2", Backward, Backward, origin: Origin.Edge));

    private static async Task<(int Points, long States)> RunAsync(
        ulong seed, string snapshot, MergeDirection vda, MergeDirection vdb, FaultRule? fault = null, Origin origin = Origin.Door)
    {
        using var run = new SnapshotCrashRun(seed, snapshots: 2, vda, vdb);
        if (fault is not null)
        {
            run.Storage.Faults.Add(fault);
        }

        run.WriteWhen(s_switchedIsNoted, origin);
        run.Run(() => run.World.Api.DeleteAsync(run.World.Domain, snapshot).AsTask());
        long states = await run.CheckAsync(async (world, isTold) =>
            Assert.False(isTold && (await world.TreeAsync()).TryFind(snapshot) is not null, "success was told"));
        return (run.Points, states);
    }
}
