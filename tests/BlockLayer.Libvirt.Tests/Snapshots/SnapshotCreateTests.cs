using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Making snapshots of a domain with two disks, and what the domain opens afterwards.</summary>
public class SnapshotCreateTests
{
    [Fact]
    public async Task All_disks_go_on_with_new_files_and_the_record_says_which()
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        byte[] before = await world.ReadAsync("vda");
        SnapshotRecord record = await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Backward));
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
        Assert.Equal(before, await world.ReadAsync("vda"));
        Assert.Equal(record.GetXml(), (await world.TreeAsync()).Current.GetXml());
        Assert.Contains("<on_delete merge=\"forward\" />", record.GetXml(), StringComparison.Ordinal);
        Assert.Contains("<source file=\"/vm/a.s1\" />", world.Domain.GetXml(), StringComparison.Ordinal);
        Assert.Contains("<source file=\"/vm/a.s1\" />", world.Domain.GetXml(DomainXmlFlags.Inactive), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_domain_that_is_shut_off_starts_with_the_new_files()
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        await world.Connection.ShutOffAsync(world.Domain);
        SnapshotRecord record = await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Backward));
        Assert.Equal(DomainState.ShutOff, record.State);
        await world.Connection.StartAsync(world.Domain);
        Assert.Equal("a.s1 a.qcow2", world.Chain("vda"));
    }

    [Fact]
    public async Task When_one_disk_cannot_none_does_and_nothing_is_left_behind()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files));
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.s1", Kind = BlockErrorKind.NoSpace });
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward)).AsTask());
        Assert.Equal(LibvirtErrorCode.SystemError, failure.Code);
        Assert.Equal(("a.qcow2", "b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
        Assert.Equal(["/vm/a.qcow2", "/vm/b.qcow2"], files.ListFiles("/vm"));
        Assert.Empty((await world.TreeAsync()).All);
    }

    [Fact]
    public async Task Files_that_exist_are_used_where_that_is_said()
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        await MakeOverlaysAsync(world);
        await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward), SnapshotCreateFlags.ReuseExternal);
        Assert.Equal("b.s1 b.qcow2", world.Chain("vdb"));
    }

    // The note may be there all the same, and the next start would believe it.
    [Fact]
    public async Task After_a_snapshot_on_existing_files_that_could_not_be_noted_the_disks_are_opened_as_they_were()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files));
        await MakeOverlaysAsync(world);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.FlushDirectory, Path = "/meta", Count = 1 });
        string xml = SnapshotWorld.SnapshotXml("s1", Forward, Forward);
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CreateAsync(world.Domain, xml, SnapshotCreateFlags.ReuseExternal).AsTask());
        Assert.Contains("Injected fault", failure.Message, StringComparison.Ordinal);
        Assert.Equal("a.qcow2", world.Chain("vda"));
        await world.Connection.ShutOffAsync(world.Domain);
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(world.Environment);
        Assert.Equal(("a.qcow2", "b.qcow2"), (again.Chain("vda"), again.Chain("vdb")));
        Assert.Empty((await again.TreeAsync()).All);
    }

    [Theory]
    [InlineData(SnapshotCreateFlags.None, 1)]
    [InlineData(SnapshotCreateFlags.NoMetadata, 0)]
    [InlineData(SnapshotCreateFlags.Halt, 1)]
    public async Task A_definition_from_before_is_not_believed_after_a_restart(SnapshotCreateFlags flags, int remembered)
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Backward, Backward), flags);
        if ((flags & SnapshotCreateFlags.Halt) != 0)
        {
            Assert.Equal(DomainState.ShutOff, world.Domain.State);
        }
        else
        {
            await world.Connection.ShutOffAsync(world.Domain);
        }

        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(world.Environment);
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2"), (again.Chain("vda"), again.Chain("vdb")));
        Assert.Equal(remembered, (await again.TreeAsync()).All.Count);
        Assert.Contains("'/vm/a.s1'", again.Domain.GetXml(DomainXmlFlags.Inactive).Replace('"', '\''), StringComparison.Ordinal);
        await again.Connection.ShutOffAsync(again.Domain);
        Assert.Equal("/vm/a.s1", again.Domain.FindDisk("vda").Source!.Path); // and the description does not name the old one again
    }

    [Fact]
    public async Task After_a_deletion_the_file_that_stays_is_opened_and_a_file_of_the_users_own_is_believed()
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        await world.SnapshotAsync("s1", Backward, Forward);
        await world.Api.DeleteAsync(world.Domain, "s1");
        await world.Connection.ShutOffAsync(world.Domain);
        await using (Disk own = await Disk.CreateAsync("/vm/own", new NewImage { Format = "qcow2", Length = 512 }, new DiskOptions { Environment = world.Environment }))
        {
        }

        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(world.Environment);
        Assert.Equal(("a.qcow2", "b.s1"), (again.Chain("vda"), again.Chain("vdb")));
        await again.Connection.ShutOffAsync(again.Domain);
        again.Connection.Define(SnapshotWorld.Xml(vda: "/vm/own"));
        await again.Connection.StartAsync(again.Domain);
        Assert.Equal("own", again.Chain("vda"));
    }

    /// <summary>Empty overlays of both disks, /vm/a.s1 and /vm/b.s1, as somebody makes them beforehand.</summary>
    private static async Task MakeOverlaysAsync(SnapshotWorld world)
    {
        foreach (string disk in new[] { "a", "b" })
        {
            var image = new NewImage
            {
                Format = "qcow2",
                Length = SnapshotWorld.DiskLength,
                Backing = new BackingReference($"{disk}.qcow2", "qcow2"),
                Verification = BackingVerification.None,
            };
            await new ImageCreator(BuiltInFormats.All, world.Environment).CreateAsync($"/vm/{disk}.s1", image, OpenPolicy.Default);
        }
    }
}
