using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Deleting snapshots of a domain with two disks: what the disks show, and the snapshots that stay.</summary>
public class SnapshotDeletionTests
{
    public static TheoryData<string, MergeDirection, MergeDirection, DomainState> Deletions()
    {
        var cases = new TheoryData<string, MergeDirection, MergeDirection, DomainState>();
        foreach (string snapshot in new[] { "s1", "s2", "s3" })
        {
            foreach ((MergeDirection vda, MergeDirection vdb) in new[] { (Backward, Backward), (Forward, Forward), (Forward, Backward) })
            {
                cases.Add(snapshot, vda, vdb, DomainState.Running);
                cases.Add(snapshot, vda, vdb, DomainState.ShutOff);
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Deletions))]
    public async Task Each_disk_merges_its_way_and_shows_the_same(string snapshot, MergeDirection vda, MergeDirection vdb, DomainState state)
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(vda, vdb);
        byte[] a = await world.ReadAsync("vda"), b = await world.ReadAsync("vdb");
        if (state == DomainState.ShutOff)
        {
            await world.Connection.ShutOffAsync(world.Domain);
            await world.Api.DeleteAsync(world.Domain, snapshot);
            Assert.Equal(DomainState.ShutOff, world.Domain.State);
            await world.Connection.StartAsync(world.Domain);
        }
        else
        {
            await world.Api.DeleteAsync(world.Domain, snapshot);
        }

        Assert.Equal(a, await world.ReadAsync("vda"));
        Assert.Equal(b, await world.ReadAsync("vdb"));
        Assert.Equal(ChainWithout("a", snapshot, vda), world.Chain("vda"));
        Assert.Equal(ChainWithout("b", snapshot, vdb), world.Chain("vdb"));
        SnapshotTree tree = await world.TreeAsync();
        Assert.Equal(new[] { "s1", "s2", "s3" }.Except([snapshot]), tree.All.Select(record => record.Name));
        Assert.Equal(snapshot == "s3" ? "s2" : "s3", tree.CurrentName);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Equal([.. world.Chain("vda").Split(' '), .. world.Chain("vdb").Split(' ')], FilesOf(world));
        Assert.All(SnapshotWorld.Targets, target => Assert.Null(world.Domain.FindDisk(target).Job));
        await world.WriteAsync(0, 512);
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    [Fact]
    public async Task All_can_be_deleted_one_after_the_other()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Forward);
        byte[] a = await world.ReadAsync("vda"), b = await world.ReadAsync("vdb");
        foreach (string snapshot in new[] { "s2", "s3", "s1" })
        {
            Assert.Equal(0, await new SnapshotCalls(world.Connection).SnapshotDelete(world.Domain, snapshot, SnapshotDeleteFlags.None));
        }

        Assert.Equal(["/vm/a.qcow2", "/vm/b.s3"], FilesOf(world).Select(static file => "/vm/" + file));
        Assert.Equal(a, await world.ReadAsync("vda"));
        Assert.Equal(b, await world.ReadAsync("vdb"));
        Assert.Empty((await world.TreeAsync()).All);
    }

    [Fact]
    public async Task An_overlay_beside_the_chain_moves_to_the_file_that_stays()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Backward);
        byte[] branch = await BranchAsync(world, "/vm/branch", "a.s1");
        await world.Api.DeleteAsync(world.Domain, "s1"); // a.s1 goes into a.qcow2

        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertShowsAsync("/vm/branch", branch);
        ImageInspection inspection = await ImageInspector.InspectAsync("/vm/branch", new InspectOptions { Environment = world.Environment });
        Assert.Equal(("a.qcow2", "qcow2"), (Assert.Single(inspection.References).Name, inspection.References[0].Format));
        Assert.DoesNotContain("a.s1", FilesOf(world));
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    [Fact]
    public async Task An_overlay_that_a_backward_merge_would_destroy_is_named_and_nothing_is_done()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Backward);
        byte[] branch = await BranchAsync(world, "/vm/branch", "b.qcow2");
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s1").AsTask());
        Assert.Equal(LibvirtErrorCode.OperationUnsupported, refusal.Code);
        Assert.Contains("Merging '/vm/b.s1' into '/vm/b.qcow2' would destroy '/vm/branch', which stands on the latter.", refusal.Message, StringComparison.Ordinal);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertShowsAsync("/vm/branch", branch);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    [Fact]
    public async Task A_forward_merge_leaves_the_older_file_to_those_who_need_it()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Forward, Forward);
        byte[] branch = await BranchAsync(world, "/vm/branch", "a.s1");
        await world.Api.DeleteAsync(world.Domain, "s2"); // a.s1 goes into a.s2
        Assert.Equal("a.s3 a.s2 a.qcow2", world.Chain("vda"));
        Assert.Contains("a.s1", FilesOf(world));
        Assert.DoesNotContain("b.s1", FilesOf(world));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertShowsAsync("/vm/branch", branch);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    [Fact]
    public async Task A_snapshot_that_the_disks_have_left_goes_with_its_files()
    {
        await using SnapshotWorld world = await WithLeftSnapshotAsync(new SimulatedStorageProvider());
        await world.Api.DeleteAsync(world.Domain, "s3");
        Assert.Equal("branch-a a.s2 a.s1 a.qcow2", world.Chain("vda"));
        Assert.Equal(["s1", "s2"], (await world.TreeAsync()).All.Select(record => record.Name));
        Assert.DoesNotContain("a.s3", FilesOf(world));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.AssertSnapshotsShowWhatTheyDidAsync();
    }

    [Fact]
    public async Task A_snapshot_whose_file_somebody_else_has_open_is_not_deleted()
    {
        await using SnapshotWorld world = await WithLeftSnapshotAsync(new SimulatedStorageProvider());
        await using (await Disk.OpenAsync("/vm/b.s3", new DiskOptions { Environment = world.Environment }))
        {
            var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s3").AsTask());
            Assert.Equal((LibvirtErrorCode.OperationUnsupported, "'/vm/b.s3' cannot be removed: somebody else has it open."), (refusal.Code, refusal.Message));
            Assert.Contains("a.s3", FilesOf(world));
        }

        await world.Api.DeleteAsync(world.Domain, "s3");
        Assert.DoesNotContain("a.s3", FilesOf(world));
    }

    [Fact]
    public async Task A_snapshot_of_whose_files_one_cannot_be_removed_is_being_deleted_until_it_can()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await WithLeftSnapshotAsync(files);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = "/vm/b.s3", Count = 1 });
        await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s3").AsTask());
        Assert.DoesNotContain("a.s3", FilesOf(world));
        Assert.True((await world.Api.GetDeletionAsync(world.Domain))!.MustFinish);
        await world.Connection.ShutOffAsync(world.Domain);
        await world.Connection.StartAsync(world.Domain);
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Null((await world.TreeAsync()).TryFind("s3"));
        Assert.DoesNotContain("b.s3", FilesOf(world));
    }

    [Fact]
    public async Task Its_jobs_are_told_as_others_are()
    {
        await using SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Forward);
        var heard = new List<string>();
        BlockJobCallback listen = (_, disk, type, status) => heard.Add($"{disk} {type} {status}");
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, listen);
        await world.Api.DeleteAsync(world.Domain, "s3");
        Assert.Equal(["vda ActiveCommit Completed", "vda ActiveCommit Ready", "vdb Pull Completed"], heard.Order());
    }

    /// <summary>Three snapshots, the last of which the disks have left for branches of what the second put on top.</summary>
    private static async Task<SnapshotWorld> WithLeftSnapshotAsync(SimulatedStorageProvider files)
    {
        SnapshotWorld world = await SnapshotWorld.WithThreeAsync(Backward, Forward, SimulatedEnvironment.Inline(files));
        await world.Connection.ShutOffAsync(world.Domain);
        await BranchAsync(world, "/vm/branch-a", "a.s2");
        await BranchAsync(world, "/vm/branch-b", "b.s2");
        world.Connection.Define(SnapshotWorld.Xml("/vm/branch-a", "/vm/branch-b"));
        await world.Connection.StartAsync(world.Domain);
        await world.Api.SetCurrentAsync(world.Domain, "s2");
        return world;
    }

    /// <summary>An overlay that somebody made on an image of a chain, and what it shows.</summary>
    private static async Task<byte[]> BranchAsync(SnapshotWorld world, string path, string backing)
    {
        var image = new NewImage
        {
            Format = "qcow2",
            Length = SnapshotWorld.DiskLength,
            Backing = new BackingReference(backing, "qcow2"),
            Verification = BackingVerification.None,
        };
        await new ImageCreator(BuiltInFormats.All, world.Environment).CreateAsync(path, image, OpenPolicy.Default);
        await using Disk disk = await Disk.OpenAsync(path, new DiskOptions { Format = "qcow2", Environment = world.Environment });
        await disk.WriteAsync(4096, GuestStamp.Create(4096, 8192, writer: 1000));
        return await OracleGuest.ReadAllAsync(disk.Root);
    }

    private static string ChainWithout(string disk, string snapshot, MergeDirection merge)
    {
        string[] files = [$"{disk}.qcow2", $"{disk}.s1", $"{disk}.s2", $"{disk}.s3"];
        int newer = Array.IndexOf(files, $"{disk}.{snapshot}");
        return string.Join(' ', files.Except([files[merge == Forward ? newer - 1 : newer]]).Reverse());
    }

    // Sorted as chains are written here.
    private static string[] FilesOf(SnapshotWorld world) => [.. world.Environment.Files.ListFiles("/vm")
        .Select(static path => path["/vm/".Length..])
        .OrderBy(static name => name[0])
        .ThenByDescending(static name => name, StringComparer.Ordinal)];
}
