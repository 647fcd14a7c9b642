using BlockLayer.Images;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Calls about snapshots that are refused: with which code, and that nothing has changed.</summary>
public class SnapshotRefusalTests
{
    [Fact]
    public void Every_combination_of_flags_of_a_create_is_taken_or_refused()
    {
        const SnapshotCreateFlags Impossible = SnapshotCreateFlags.Redefine | SnapshotCreateFlags.Current | SnapshotCreateFlags.Quiesce;
        for (int bits = 0; bits < 1024; bits++)
        {
            var flags = (SnapshotCreateFlags)bits;
            LibvirtErrorCode expected = bits >= 512 ? LibvirtErrorCode.InvalidArg
                : (flags & Impossible) != 0 ? LibvirtErrorCode.ArgumentUnsupported
                : (flags & SnapshotCreateFlags.Live) != 0 ? LibvirtErrorCode.ConfigUnsupported
                : LibvirtErrorCode.Ok;
            Assert.Equal((flags, expected), (flags, CodeOf(() => SnapshotRules.Check(flags))));
        }
    }

    [Theory]
    [InlineData(SnapshotCreateFlags.Redefine | SnapshotCreateFlags.Current, "REDEFINE is not supported: ", "say REUSE_EXT.")]
    [InlineData(SnapshotCreateFlags.Current, "CURRENT is not supported: ", "SetCurrentAsync makes another one so.")]
    [InlineData(SnapshotCreateFlags.Quiesce | SnapshotCreateFlags.Atomic, "QUIESCE is not supported: there is no agent in a guest. ", "Freeze its file systems from inside before the call, and thaw them after it.")]
    [InlineData(SnapshotCreateFlags.Live, "LIVE is about the guest's memory, and there is none here. ", "leave the flag out.")]
    public void A_flag_that_cannot_be_is_refused_with_what_to_do_instead(SnapshotCreateFlags flags, string why, string instead)
    {
        var refusal = Assert.Throws<LibvirtException>(() => SnapshotRules.Check(flags));
        Assert.StartsWith(why, refusal.Message, StringComparison.Ordinal);
        Assert.EndsWith(instead, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_combination_of_flags_of_a_delete_is_taken_or_refused()
    {
        const SnapshotDeleteFlags Children = SnapshotDeleteFlags.Children | SnapshotDeleteFlags.ChildrenOnly;
        SnapshotRecord record = SnapshotSamples.Record("s1", null, "a", "b");
        for (int bits = 0; bits < 16; bits++)
        {
            var flags = (SnapshotDeleteFlags)bits;
            LibvirtErrorCode expected = bits >= 8 || (flags & Children) == Children ? LibvirtErrorCode.InvalidArg : LibvirtErrorCode.Ok;
            Assert.Equal((flags, expected), (flags, CodeOf(() => SnapshotRules.Check(flags))));
            LibvirtErrorCode ofFiles = (flags & Children) != 0 ? LibvirtErrorCode.OperationUnsupported : LibvirtErrorCode.Ok;
            Assert.Equal((flags, ofFiles), (flags, CodeOf(() => SnapshotRules.CheckDelete(record, flags))));
        }
    }

    [Fact]
    public void A_marked_snapshot_is_not_deleted_again()
    {
        SnapshotRecord record = SnapshotSamples.Record("s1", null, "a", "b");
        record = record with { Disks = [record.Disks[0], record.Disks[1] with { IsDeleteInProgress = true }] };
        var refusal = Assert.Throws<LibvirtException>(() => SnapshotRules.CheckDelete(record, SnapshotDeleteFlags.None));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, refusal.Code);
        Assert.Equal("The disk 'vdb' of the snapshot 's1' was the target of a deletion that has not ended; finish that first.", refusal.Message);
    }

    [Fact]
    public async Task Names_that_do_not_exist_or_exist_already()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        var calls = new SnapshotCalls(world.Connection);
        Assert.Equal(-1, await calls.SnapshotDelete(world.Domain, "s9", SnapshotDeleteFlags.None));
        Assert.Equal((LibvirtErrorCode.NoDomainSnapshot, "There is no snapshot 's9'."), (world.Connection.LastError.Code, world.Connection.LastError.Message));
        Assert.Null(await calls.SnapshotCreateXml(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward), SnapshotCreateFlags.None));
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, world.Connection.LastError.Code); // its files exist
        Assert.Null(await calls.SnapshotGetParent(world.Domain, "s1"));
        Assert.Equal("The snapshot 's1' has no parent.", world.Connection.LastError.Message);
        Assert.Equal("s1", (await calls.SnapshotGetParent(world.Domain, "s2"))!.Name);
        Assert.Equal("s2", (await calls.SnapshotCurrent(world.Domain))!.Name);
        Assert.Equal((2, 1, 0), (await calls.SnapshotNum(world.Domain), await calls.SnapshotNumChildren(world.Domain, "s1"), await calls.SnapshotNumChildren(world.Domain, "s2")));
    }

    [Fact]
    public async Task A_transient_domain_is_not_halted_by_a_snapshot()
    {
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        world.Connection.Undefine(world.Domain);
        var refusal = await Assert.ThrowsAsync<LibvirtException>(
            () => world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward), SnapshotCreateFlags.Halt).AsTask());
        Assert.Equal(LibvirtErrorCode.OperationInvalid, refusal.Code);
        Assert.Equal((DomainState.Running, "a.qcow2"), (world.Domain.State, world.Chain("vda")));
    }

    [Fact]
    public async Task A_read_only_connection_looks_and_changes_nothing()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        using LibvirtConnection reader = world.Host.Connect(ConnectionAccess.ReadOnly);
        var calls = new SnapshotCalls(reader);
        Assert.Equal("s1", (await calls.SnapshotLookupByName(world.Domain, "s1"))!.Name);
        Assert.Equal(-1, await calls.SnapshotDelete(world.Domain, "s1", SnapshotDeleteFlags.None));
        Assert.Equal(LibvirtErrorCode.OperationDenied, reader.LastError.Code);
        Assert.Null(await calls.SnapshotCreateXml(world.Domain, "<domainsnapshot/>", SnapshotCreateFlags.None));
        Assert.Equal(LibvirtErrorCode.OperationDenied, reader.LastError.Code);
    }

    [Fact]
    public async Task A_host_without_a_folder_remembers_nothing_and_makes_none()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => new SnapshotApi(world.Connection).CreateAsync(domain, "<domainsnapshot/>").AsTask());
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, refusal.Code);
    }

    [Fact]
    public async Task A_disk_with_a_job()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        world.Domain.FindDisk("vdb").Occupy(new StubJob(BlockJobType.Copy));
        await RefusedAsync(world, "s1", LibvirtErrorCode.BlockCopyActive, "A job runs on the disk 'vdb' already.");
        Assert.Null(world.Domain.FindDisk("vda").Job);
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s3", Forward, Forward)).AsTask());
        Assert.Equal(LibvirtErrorCode.BlockCopyActive, refusal.Code);
        world.Domain.FindDisk("vdb").Release(world.Domain.FindDisk("vdb").Job!);
    }

    [Fact]
    public async Task A_chain_that_was_changed_behind_the_snapshots_back()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        await (await world.Open("vda").StartPullAsync()).Completion;
        await RefusedAsync(world, "s2", LibvirtErrorCode.OperationFailed, "The snapshot froze '/vm/a.s1' of the disk 'vda', and below '/vm/a.s2' there is nothing.");
        await RefusedAsync(world, "s1", LibvirtErrorCode.OperationFailed, "The snapshot put '/vm/a.s1' on the disk 'vda', and it is not in its chain: '/vm/a.s2'.");
    }

    [Fact]
    public async Task Internal_snapshots_that_would_be_lost()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        await ImageSnapshots.CreateAsync(world.Open("vdb").Root, "inside");
        await RefusedAsync(world, "s2", LibvirtErrorCode.OperationUnsupported, "'/vm/b.s2' of the disk 'vdb' holds 1 internal snapshots, the first called 'inside', which would be lost.");
    }

    [Fact]
    public async Task A_file_that_cannot_be_judged()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await WithTwoAsync(files);
        files.AddFile("/vm/secret", new byte[512]);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Path = "/vm/secret" });
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, "s1").AsTask());
        Assert.Equal(LibvirtErrorCode.OperationUnsupported, refusal.Code);
        Assert.StartsWith("Whether '/vm/secret' needs '/vm/a.s1' cannot be told: ", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metadata_alone_is_forgotten_with_or_without_children()
    {
        await using SnapshotWorld world = await WithTwoAsync();
        string[] files = [.. world.Environment.Files.ListFiles("/vm")];
        await world.Api.DeleteAsync(world.Domain, "s1", SnapshotDeleteFlags.MetadataOnly | SnapshotDeleteFlags.ChildrenOnly);
        Assert.Equal(["s1"], (await world.TreeAsync()).All.Select(record => record.Name));
        await world.Api.DeleteAsync(world.Domain, "s1", SnapshotDeleteFlags.MetadataOnly);
        Assert.Empty((await world.TreeAsync()).All);
        Assert.Equal(files, world.Environment.Files.ListFiles("/vm"));
    }

    private static LibvirtErrorCode CodeOf(Action check)
    {
        try
        {
            check();
            return LibvirtErrorCode.Ok;
        }
        catch (LibvirtException error)
        {
            return error.Code;
        }
    }

    private static async Task RefusedAsync(SnapshotWorld world, string snapshot, LibvirtErrorCode code, string message)
    {
        string before = world.Chain("vda") + world.Chain("vdb");
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.DeleteAsync(world.Domain, snapshot).AsTask());
        Assert.Equal((code, message), (refusal.Code, refusal.Message));
        Assert.Null(await world.Api.GetDeletionAsync(world.Domain));
        Assert.Equal(before, world.Chain("vda") + world.Chain("vdb"));
    }

    private static async Task<SnapshotWorld> WithTwoAsync(SimulatedStorageProvider? files = null)
    {
        SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files ?? new SimulatedStorageProvider()));
        await world.SnapshotAsync("s1", Backward, Backward);
        await world.SnapshotAsync("s2", Backward, Backward);
        return world;
    }
}
