using BlockLayer.Simulation;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>
/// A snapshot of two disks is made under guests, and the power fails at any moment: either the snapshot is there and the disks stand on its files, or neither it nor any file of it is, and
/// it can be made again.
/// </summary>
public class SnapshotCreationCrashTests
{
    [Theory]
    [InlineData(SnapshotCreateFlags.None, "qcow2")]
    [InlineData(SnapshotCreateFlags.None, "qed")]
    [InlineData(SnapshotCreateFlags.NoMetadata, "qcow2")]
    public async Task After_any_crash_it_is_made_of_all_disks_or_nothing_is_left_of_it(SnapshotCreateFlags flags, string format)
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 1; seed <= (ulong)Effort.Times(2); seed++)
        {
            (int seen, long tried) = await RunAsync(seed, flags, format);
            points += seen;
            states += tried;
        }

        string kept = flags == SnapshotCreateFlags.None ? "" : ", not remembered";
        CrashTable.Print($"snapshot create: overlays qcow2 and {format}{kept}", points, states, "both disks owed data, made of both or of none, no file left");
        Assert.True(states > 100, $"{states} states");
    }

    [Fact]
    public async Task A_crash_of_the_start_that_removes_what_a_crash_has_left()
    {
        using var run = new SnapshotCrashRun(seed: 1, snapshots: 1, Backward, Backward);
        run.Run(() => run.World.Api.CreateAsync(run.World.Domain, SnapshotWorld.SnapshotXml("s2", Backward, Backward)).AsTask());
        long states = await run.CheckTwiceAsync((world, isTold) => CheckAsync(world, isTold, SnapshotCreateFlags.None));
        CrashTable.Print("snapshot create: crash, and again while recovering", run.Points, states, "both disks owed data, made of both or of none, no file left");
        Assert.True(states > 100, $"{states} states");
    }

    // What is written down first is what the files are found by.
    [Theory]
    [InlineData(StorageOperations.Flush, "/meta/vm.snapshots.xml.new")]
    [InlineData(StorageOperations.FlushDirectory, "/meta")]
    public async Task A_first_note_that_is_not_durable_is_noticed(StorageOperations operation, string path)
    {
        var lie = new FaultRule { Operations = operation, Path = path, Effect = FaultEffect.Lie, Count = 1 };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, SnapshotCreateFlags.None, "qcow2", lie));
    }

    // And the disks go on with them from the second note on.
    [Fact]
    public async Task A_new_file_that_is_not_durable_is_noticed()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/b.s2", Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(seed: 1, SnapshotCreateFlags.None, "qcow2", lie));
    }

    private static async Task<(int Points, long States)> RunAsync(ulong seed, SnapshotCreateFlags flags, string format, FaultRule? fault = null)
    {
        using var run = new SnapshotCrashRun(seed, snapshots: flags == SnapshotCreateFlags.None ? 1 : 0, Backward, Backward);
        if (fault is not null)
        {
            run.Storage.Faults.Add(fault);
        }

        run.Run(() => run.World.Api.CreateAsync(run.World.Domain, SnapshotWorld.SnapshotXml("s2", Backward, Backward, format), flags).AsTask());
        return (run.Points, await run.CheckAsync((world, isTold) => CheckAsync(world, isTold, flags)));
    }

    private static async Task CheckAsync(SnapshotWorld world, bool isTold, SnapshotCreateFlags flags)
    {
        bool isMade = world.Chain("vda").StartsWith("a.s2", StringComparison.Ordinal);
        Assert.Equal(isMade && flags == SnapshotCreateFlags.None, (await world.TreeAsync()).TryFind("s2") is not null);
        Assert.False(isTold && !isMade, "success was told");
        if (!isMade)
        {
            await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s2", Backward, Backward), flags);
        }

        Assert.StartsWith("b.s2 b.", world.Chain("vdb"), StringComparison.Ordinal);
    }
}
