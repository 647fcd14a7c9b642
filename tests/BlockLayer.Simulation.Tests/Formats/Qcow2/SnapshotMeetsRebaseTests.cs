using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// An internal snapshot is applied while the disk gets another backing file. Applying lets go of clusters that the rebase has looked at, so it is refused while the job is at work; what comes
/// behind the switch works with the new chain, and shows it where the snapshot holds nothing.
/// </summary>
public sealed class SnapshotMeetsRebaseTests
{
    private const int Cluster = 64 * 1024;
    private const int Length = 8 * Cluster;

    private readonly SimulatedMachine _machine = new(seed: 3);
    private readonly byte[] _below = GuestStamp.Create(0, Length, writer: 9);

    [Fact]
    public void A_snapshot_is_not_applied_while_a_rebase_copies() => _machine.Run(async () =>
    {
        await using Disk disk = await CreateAsync();
        byte[] before = await OracleGuest.ReadAllAsync(disk.Root);
        RebaseJob job = await disk.StartRebaseAsync("/other", new RebaseOptions(), _machine.As("raw"));
        job.Pause(); // before its first step
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => ImageSnapshots.ApplyAsync(disk.Root, "kept").AsTask());
        Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
        job.Resume();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        Assert.Equal(before, await OracleGuest.ReadAllAsync(disk.Root));
    });

    [Fact]
    public void A_snapshot_that_is_applied_behind_the_switch_shows_the_new_chain_where_it_holds_nothing() => _machine.Run(async () =>
    {
        await using Disk disk = await CreateAsync();
        StorageBreakpoint header = _machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/disk", Range = new ByteRange(0, 512) });
        RebaseJob job = await disk.StartRebaseAsync("/other", new RebaseOptions(), _machine.As("raw"));
        await header.ReachedAsync();
        Task applied = ImageSnapshots.ApplyAsync(disk.Root, "kept").AsTask(); // waits: the rebase has the graph
        header.Continue();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        await applied;

        byte[] expected = [.. GuestStamp.Create(0, Cluster, writer: 1), .. _below[Cluster..]];
        Assert.Equal(expected, await OracleGuest.ReadAllAsync(disk.Root));
        await DiskPromise.CheckImagesAsync(disk);
    });

    // The snapshot holds the first cluster, the disk the second one too.
    private async Task<Disk> CreateAsync()
    {
        await using (Disk other = await _machine.CreateAsync("/other", Length, format: "raw"))
        {
            await other.WriteAsync(0, _below);
        }

        Disk disk = await _machine.CreateAsync("/disk", Length);
        await disk.WriteAsync(0, GuestStamp.Create(0, Cluster, writer: 1));
        await ImageSnapshots.CreateAsync(disk.Root, "kept");
        await disk.WriteAsync(Cluster, GuestStamp.Create(Cluster, Cluster, writer: 2));
        return disk;
    }
}
