using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Deletions that fail, or that somebody ends: what is taken back, and what has to be finished.</summary>
public class SnapshotDeletionFailureTests
{
    [Theory]
    [InlineData("/vm/a.qcow2")]
    [InlineData("/vm/b.qcow2")]
    public async Task When_one_disk_fails_all_are_taken_back(string path)
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Backward, SimulatedEnvironment.Inline(files));
        byte[] a = await world.ReadAsync("vda"), b = await world.ReadAsync("vdb");
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = path, Count = 1 });
        await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s1").AsTask());

        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Equal("a.s3 a.s2 a.s1 a.qcow2", world.Chain("vda"));
        Assert.Equal("b.s3 b.s2 b.s1 b.qcow2", world.Chain("vdb"));
        Assert.Equal(a, await world.ReadAsync("vda"));
        Assert.Equal(b, await world.ReadAsync("vdb"));
        Assert.All((await world.TreeAsync()).Find("s1").Disks, static disk => Assert.True(disk is { IsDeleteInProgress: false, IsFrozenChanged: true }));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
        await world.Api.DeleteAsync(world.Domain, "s1");
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    // Files of two disks do not change in one instant: the first has switched when the second cannot.
    [Fact]
    public async Task When_the_second_disk_cannot_switch_the_deletion_has_to_be_finished()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Forward, Forward, SimulatedEnvironment.Inline(files));
        byte[] a = await world.ReadAsync("vda"), b = await world.ReadAsync("vdb");
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.s2", Range = new(0, 512), Count = 1 });
        await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s2").AsTask());

        SnapshotDeletion deletion = (await world.Api.GetDeletionAsync(world.Domain))!;
        Assert.Equal([DeletionStage.Switched, DeletionStage.Copying], deletion.Disks.Select(static disk => disk.Stage));
        Assert.Equal(("a.s3 a.s2 a.qcow2", "b.s3 b.s2 b.s1 b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
        Assert.Equal(a, await world.ReadAsync("vda"));
        Assert.Equal(b, await world.ReadAsync("vdb"));
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s2").AsTask());
        Assert.Equal(LibvirtErrorCode.OperationInvalid, refusal.Code);
        refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s4", Forward, Forward)).AsTask());
        Assert.Equal("The deletion of the snapshot 's2' has not ended; finish it first.", refusal.Message);

        await world.Api.FinishDeletionAsync(world.Domain);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Equal("b.s3 b.s2 b.qcow2", world.Chain("vdb"));
        Assert.Equal(b, await world.ReadAsync("vdb"));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    // After the pivot no file says which image is active: as long as that cannot be noted, nobody writes into it.
    [Fact]
    public void Guests_wait_until_the_active_image_can_be_noted() => Simulate(async (world, files) =>
    {
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/meta/vm.snapshots.xml.new", Skip = 2, Count = 5 });
        Task deletion = world.Api.DeleteAsync(world.Domain, "s1").AsTask();
        StorageBreakpoint note = files.Faults.Break(new FaultRule { Operations = StorageOperations.Rename, Path = "/meta/vm.snapshots.xml.new", Skip = 2 });
        await note.ReachedAsync(); // the sixth time
        Task write = world.WriteAsync(0, 512);
        await Task.Delay(TimeSpan.FromMinutes(1), world.Environment.Time);
        Assert.Equal("b.qcow2", world.Chain("vdb"));
        Assert.False(write.IsCompleted);
        note.Continue();
        await deletion;
        await write;
        Assert.Equal("/vm/b.qcow2", world.Domain.FindDisk("vdb").Source!.Path);
    });

    [Fact]
    public void A_job_of_it_can_be_aborted_like_any_other_and_takes_the_rest_with_it() => Simulate(async (world, files) =>
    {
        StorageBreakpoint copying = files.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.qcow2" });
        Task deletion = world.Api.DeleteAsync(world.Domain, "s1").AsTask();
        await copying.ReachedAsync();
        await Task.Delay(TimeSpan.FromMinutes(1), world.Environment.Time); // the other disk is ready
        var jobs = new BlockJobApi(world.Connection);
        Assert.Equal(BlockJobType.ActiveCommit, jobs.GetInfo(world.Domain, "vdb")!.Value.Type);
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => jobs.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Pivot).AsTask());
        Assert.Equal(LibvirtErrorCode.OperationInvalid, refusal.Code);
        await jobs.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Async);
        copying.Continue();
        await Assert.ThrowsAsync<OperationCanceledException>(() => deletion);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
    });

    [Fact]
    public void A_stop_ends_a_deletion_that_can_be_taken_back() => Simulate(async (world, files) =>
    {
        StorageBreakpoint copying = files.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.qcow2" });
        Task deletion = world.Api.DeleteAsync(world.Domain, "s1").AsTask();
        await copying.ReachedAsync();
        Task stop = world.Connection.ShutOffAsync(world.Domain).AsTask();
        copying.Continue();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => deletion);
        await stop;
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        await world.Connection.StartAsync(world.Domain);
        Assert.Equal("b.s1 b.qcow2", world.Chain("vdb"));
    });

    // One snapshot, merged backward, and a clock that passes.
    private static void Simulate(Func<SnapshotWorld, SimulatedStorageProvider, Task> test)
    {
        var scheduler = new SimulationScheduler(seed: 5);
        var files = new SimulatedStorageProvider(scheduler);
        scheduler.Run(async () =>
        {
            await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Of(scheduler, files));
            await world.SnapshotAsync("s1", Backward, Backward);
            await test(world, files);
        });
    }
}
