using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>A snapshot that is made or deleted stays so, and is told so, whatever goes wrong behind it.</summary>
public class SnapshotLateErrorTests
{
    private const string Notes = "/meta/vm.snapshots.xml.new";

    private readonly SimulatedStorageProvider _files = new();
    private readonly BlockEnvironment _environment;

    public SnapshotLateErrorTests() => _environment = SimulatedEnvironment.Inline(_files);

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // by the call itself
    public async Task A_snapshot_is_made_although_a_disk_cannot_be_closed_behind_it(bool halts)
    {
        await (await SnapshotWorld.StartAsync(_environment)).DisposeAsync();
        await using SnapshotWorld world = SnapshotWorld.Define(FailingAt("/vm/b.qcow2"));
        if (halts)
        {
            await world.Connection.StartAsync(world.Domain);
        }

        SnapshotRecord made = await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward), halts ? SnapshotCreateFlags.Halt : SnapshotCreateFlags.None);
        Assert.Equal($"/vm/b.qcow2: {FailingClose.Message}", made.LateError?.Message);
        Assert.Equal(DomainState.ShutOff, world.Domain.State);
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(_environment);
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2", "s1"), (again.Chain("vda"), again.Chain("vdb"), (await again.TreeAsync()).CurrentName));
    }

    [Theory]
    [InlineData(Backward, true)] // what it put on top is not needed any more
    [InlineData(Backward, false)]
    [InlineData(Forward, false)] // that is the disk, which is closed in the end
    public async Task A_snapshot_is_deleted_although_an_image_cannot_be_closed_behind_it(MergeDirection merge, bool runs)
    {
        await using (SnapshotWorld before = await SnapshotWorld.StartAsync(_environment))
        {
            await before.SnapshotAsync("s1", merge, merge);
        }

        SnapshotWorld world = SnapshotWorld.Define(FailingAt("/vm/b.s1"));
        if (runs)
        {
            await world.Connection.StartAsync(world.Domain);
        }

        Assert.Equal($"/vm/b.s1: {FailingClose.Message}", (await world.Api.DeleteAsync(world.Domain, "s1"))?.Message);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Empty((await world.TreeAsync()).All);
        await world.DisposeAsync();
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(_environment);
        Assert.Equal(merge == Forward ? ("a.s1", "b.s1") : ("a.qcow2", "b.qcow2"), (again.Chain("vda"), again.Chain("vdb")));
        Assert.Equal(2, _files.ListFiles("/vm").Count);
    }

    // Both disks had switched, which could not be noted. What fails in the end of it is told, not that a disk could not be closed then, and no disk stays open.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_start_that_ends_a_deletion_closes_all_disks_and_tells_what_went_wrong_first(bool cannotRemove)
    {
        await using (SnapshotWorld before = await SnapshotWorld.WithThreeAsync(Forward, Forward, _environment))
        {
            _files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = Notes, Skip = 2, Count = 1 });
            await Assert.ThrowsAsync<LibvirtException>(() => before.Api.DeleteAsync(before.Domain, "s2").AsTask());
            Assert.True((await before.Api.GetDeletionAsync(before.Domain))!.MustFinish);
        }

        if (cannotRemove)
        {
            _files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = "/vm/b.s1", Count = 1 });
        }

        await using SnapshotWorld world = SnapshotWorld.Define(FailingAt("/vm/a.s3"));
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.StartAsync(world.Domain).AsTask());
        string told = cannotRemove
            ? "What a crash has left of the snapshots of 'vm' cannot be ended: /vm/b.s1: Injected fault: Delete failed."
            : $"/vm/a.s3: {FailingClose.Message}";
        Assert.Equal(told, failure.Message);
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(_environment);
        Assert.Null(await again.Api.GetDeletionAsync(again.Domain));
        Assert.Equal(("a.s3 a.s2 a.qcow2", "b.s3 b.s2 b.qcow2"), (again.Chain("vda"), again.Chain("vdb")));
    }

    [Fact]
    public async Task What_a_listener_throws_at_the_end_of_a_job_comes_out_when_the_snapshot_is_deleted()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Forward, Forward, _environment);
        BlockJobCallback failing = (_, disk, _, _) => throw new InvalidOperationException($"at {disk}");
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, failing);
        var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => world.Api.DeleteAsync(world.Domain, "s2").AsTask());
        Assert.Equal("at vda", thrown.Message);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Null((await world.TreeAsync()).TryFind("s2"));
    }

    [Fact]
    public async Task A_deletion_that_a_mistake_of_the_program_ends_leaves_the_disks_to_others()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Forward, Forward, _environment);
        await world.DisposeAsync();
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(_environment with { Files = new HookedStorageProvider(_files, Notes, new SecondNote()) });
        await Assert.ThrowsAsync<InvalidDataException>(() => again.Api.DeleteAsync(again.Domain, "s2").AsTask());
        Assert.Null(await again.Api.GetDeletionAsync(again.Domain));
        Assert.All(SnapshotWorld.Targets, target => Assert.Null(again.Domain.FindDisk(target).Job));
        await again.Api.DeleteAsync(again.Domain, "s2");
        Assert.Equal(("a.s3 a.s2 a.qcow2", "b.s3 b.s2 b.qcow2"), (again.Chain("vda"), again.Chain("vdb")));
    }

    private BlockEnvironment FailingAt(string path) => _environment with { Files = new HookedStorageProvider(_files, path, new FailingClose { AfterWriting = true }) };

    /// <summary>The second note of a deletion, that its disks are switching, meets a mistake.</summary>
    private sealed class SecondNote : StorageHook
    {
        private int _notes;

        public override ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
            => ++_notes == 2 ? throw new InvalidDataException() : base.WriteAsync(file, offset, data, cancellationToken);
    }
}
