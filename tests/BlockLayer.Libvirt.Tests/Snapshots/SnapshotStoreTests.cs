using System.Text;
using BlockLayer.Errors;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using Xunit;
using static BlockLayer.Libvirt.Tests.Snapshots.SnapshotSamples;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>What is remembered of snapshots, and what of it is refused.</summary>
public class SnapshotStoreTests
{
    private const string Path = "/meta/vm.snapshots.xml";

    [Fact]
    public async Task A_folder_without_a_file_has_no_snapshots_and_gets_no_file()
    {
        var files = new MemoryStorageProvider();
        SnapshotStore store = await SnapshotStore.OpenAsync("/meta", "vm", files);
        Assert.Empty(store.Tree.All);
        Assert.Null(store.Deletion);
        Assert.Null(files.GetInfo(Path));
    }

    [Fact]
    public async Task Everything_is_found_again()
    {
        var files = new MemoryStorageProvider();
        SnapshotStore store = await SnapshotStore.OpenAsync("/meta/", "vm", files);
        SnapshotRecord first = Record("s1", null, "a", "b", MergeDirection.Forward);
        await store.AddAsync(first);
        await store.AddAsync(Record("s2", "s1", "b", "c") with { State = DomainState.ShutOff, Description = null });
        SnapshotDeletion deletion = Deletion(first).At("vdb", DeletionStage.Switching);
        await store.BeginDeletionAsync(deletion);

        SnapshotStore again = await SnapshotStore.OpenAsync("/meta", "vm", files);
        Assert.Equal("s2", again.Tree.CurrentName);
        Assert.Equal(store.Tree.All.Select(record => record.GetXml()), again.Tree.All.Select(record => record.GetXml()));
        Assert.Equal(first.Description, again.Tree.Find("s1").Description);
        Assert.Equal((DomainState.ShutOff, null), (again.Tree.Find("s2").State, again.Tree.Find("s2").Description));
        Assert.Equal(first.CreationTime, again.Tree.Find("s1").CreationTime);
        Assert.All(again.Tree.Find("s1").Disks, disk => Assert.True(disk.IsDeleteInProgress));
        Assert.All(again.Tree.Find("s2").Disks, disk => Assert.False(disk.IsDeleteInProgress));
        Assert.Equal(deletion.ToXml().ToString(), again.Deletion!.ToXml().ToString());
        Assert.Equal(["/vm/sibling one", "/vm/two"], again.Deletion.Disks[0].Relink);
    }

    [Fact]
    public async Task A_creation_is_found_again_and_ends_with_its_snapshot()
    {
        var files = new MemoryStorageProvider();
        SnapshotStore store = await SnapshotStore.OpenAsync("/meta", "vm", files);
        var creation = new SnapshotCreation("s1", [new EmptyOverlay("/vm/b <1>", "qcow2", 1 << 20, new("a & a", "raw")), new EmptyOverlay("/vm/b2", "qed", 512, new("/vm/a2", "qcow2"))]);
        await store.BeginCreationAsync(creation, CancellationToken.None);
        store = await SnapshotStore.OpenAsync("/meta", "vm", files);
        Assert.Equal(creation.Files, store.Creation!.Files);
        Assert.Equal("s1", store.Creation.Snapshot);
        await RefusedAsync(store.BeginCreationAsync(creation, CancellationToken.None), "The files of the snapshot 's1', which was not made, are not removed yet.");

        await store.AddAsync(Record("s1", null, "a", "b"));
        Assert.Null(store.Creation);
        Assert.Null((await SnapshotStore.OpenAsync("/meta", "vm", files)).Creation);
    }

    [Fact]
    public async Task A_deletion_goes_its_steps()
    {
        SnapshotStore store = await WithTwoAsync(new MemoryStorageProvider());
        SnapshotDeletion deletion = Deletion(store.Tree.Find("s1"));
        await store.BeginDeletionAsync(deletion);
        Assert.False(store.Deletion!.MustFinish);
        await RefusedAsync(store.FinishDeletionAsync("s1"), "The deletion of 's1' is not finished: 'vda' has not switched.");
        await RefusedAsync(store.FinishDeletionAsync("s2"), "No deletion of the snapshot 's2' has begun.");
        await store.AdvanceDeletionAsync(deletion.At(DeletionStage.Switching));
        Assert.True(store.Deletion.MustFinish);
        await RefusedAsync(store.AbandonDeletionAsync("s1"), "The deletion of 's1' cannot be taken back: a disk may have switched.");
        await store.AdvanceDeletionAsync(deletion.At(DeletionStage.Switched));
        await store.FinishDeletionAsync("s1");
        Assert.Null(store.Deletion);
        Assert.Equal(["s2"], store.Tree.All.Select(record => record.Name));
        Assert.Equal("/vm/a", store.Tree.Find("s2").Disks[0].Frozen.Path);
    }

    [Fact]
    public async Task A_deletion_that_is_taken_back_leaves_the_snapshot_with_files_that_may_have_changed()
    {
        SnapshotStore store = await WithTwoAsync(new MemoryStorageProvider());
        SnapshotRecord record = store.Tree.Find("s2");
        string before = (record with { Disks = [.. record.Disks.Select(static disk => disk with { IsFrozenChanged = disk.OnDelete == MergeDirection.Backward })] }).GetXml();
        await store.BeginDeletionAsync(Deletion(store.Tree.Find("s2")));
        Assert.NotEqual(before, store.Tree.Find("s2").GetXml());
        await store.AbandonDeletionAsync("s2");
        Assert.Equal(before, store.Tree.Find("s2").GetXml());
        Assert.Null(store.Deletion);
    }

    [Fact]
    public async Task While_a_deletion_has_not_ended_nothing_else_changes()
    {
        SnapshotStore store = await WithTwoAsync(new MemoryStorageProvider());
        await store.BeginDeletionAsync(Deletion(store.Tree.Find("s1")));
        const string Message = "The deletion of the snapshot 's1' has not ended; finish it first.";
        await RefusedAsync(store.AddAsync(Record("s3", "s2", "c", "d")), Message);
        await RefusedAsync(store.SetCurrentAsync("s1"), Message);
        await RefusedAsync(store.ForgetAsync("s2"), Message);
        await RefusedAsync(store.BeginDeletionAsync(Deletion(store.Tree.Find("s2"))), Message);
    }

    [Fact]
    public async Task A_deletion_is_about_the_disks_of_its_snapshot()
    {
        SnapshotStore store = await WithTwoAsync(new MemoryStorageProvider());
        SnapshotDeletion deletion = Deletion(store.Tree.Find("s1"));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => store.BeginDeletionAsync(deletion with { Disks = [deletion.Disks[0]] }).AsTask());
        Assert.Equal((LibvirtErrorCode.InvalidArg, "The snapshot 's1' is of vda, vdb, and the deletion is of vda."), (error.Code, error.Message));
        Assert.Null(store.Deletion);
    }

    [Fact]
    public async Task Snapshots_are_forgotten_and_made_current()
    {
        var files = new MemoryStorageProvider();
        SnapshotStore store = await WithTwoAsync(files);
        await store.SetCurrentAsync("s1");
        await store.ForgetAsync("s1");
        SnapshotStore again = await SnapshotStore.OpenAsync("/meta", "vm", files);
        Assert.Null(again.Tree.CurrentName);
        Assert.Equal("/vm/b", again.Tree.Find("s2").Disks[0].Frozen.Path); // forgotten, not merged
    }

    [Fact]
    public async Task After_a_change_that_could_not_be_written_the_store_is_as_before_and_takes_the_next()
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore store = await WithTwoAsync(files);
        foreach (StorageOperations operation in new[] { StorageOperations.Write, StorageOperations.Flush, StorageOperations.Rename })
        {
            files.Faults.Add(new FaultRule { Operations = operation, Count = 1, Kind = BlockErrorKind.NoSpace });
            var error = await Assert.ThrowsAsync<BlockLayerException>(() => store.SetCurrentAsync("s1").AsTask());
            Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
            Assert.Equal("s2", store.Tree.CurrentName);
            Assert.Equal("s2", (await SnapshotStore.OpenAsync("/meta", "vm", files)).Tree.CurrentName);
        }

        await store.SetCurrentAsync("s1");
        Assert.Equal("s1", (await SnapshotStore.OpenAsync("/meta", "vm", files)).Tree.CurrentName);
    }

    [Theory]
    [InlineData("", "The XML cannot be read: Root element is missing.")]
    [InlineData("<domainsnapshots version='1' domain='vm'>", "The XML cannot be read: Unexpected end of file")]
    [InlineData("<domainsnapshots version='2' domain='vm'/>", "<domainsnapshots> at line 1: version is 2; known is 1.")]
    [InlineData("<domainsnapshots version='1' domain='other'/>", "<domainsnapshots> at line 1: it is about the domain 'other', not 'vm'.")]
    [InlineData("<domainsnapshots version='1' domain='vm' current='x'/>", "'x' is the current one and is not there.")]
    [InlineData("<domainsnapshots version='1' domain='vm'><deletion snapshot='x'/></domainsnapshots>", "<deletion> at line 1: there is no snapshot 'x'.")]
    [InlineData("<domainsnapshots version='1' domain='vm'><creation snapshot='x'><overlay type='qcow2' file='/x' length='-1'><backing/></overlay></creation></domainsnapshots>", "<overlay> at line 1: length is '-1'; expected is a number of bytes.")]
    [InlineData("<domainsnapshots version='1' domain='vm'><domainsnapshot/></domainsnapshots>", "<domainsnapshot> at line 1: <creationTime> is missing.")]
    [InlineData("<domainsnapshots version='1' domain='vm'><domainsnapshot><creationTime>99999999999999</creationTime></domainsnapshot></domainsnapshots>", "<creationTime> at line 1: found is '99999999999999'; expected are seconds since 1970.")]
    public async Task A_damaged_file_is_refused_and_left_as_it_is(string content, string why)
    {
        var files = new SimulatedStorageProvider();
        files.AddFile(Path, Encoding.UTF8.GetBytes(content));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotStore.OpenAsync("/meta", "vm", files).AsTask());
        Assert.Equal((LibvirtErrorCode.InvalidDomainSnapshot, LibvirtErrorDomain.DomainSnapshot), (error.Code, error.Error.Domain));
        Assert.StartsWith($"'{Path}' cannot be used: {why}", error.Message, StringComparison.Ordinal);
        Assert.Equal(content, Encoding.UTF8.GetString(files.ReadFile(Path)));
    }

    [Fact]
    public async Task A_path_with_a_damaged_character_is_not_read_as_another_path()
    {
        var files = new SimulatedStorageProvider();
        await (await SnapshotStore.OpenAsync("/meta", "vm", files)).AddAsync(Record("s1", null, "ä", "b"));
        byte[] content = files.ReadFile(Path);
        int at = content.AsSpan().IndexOf("ä"u8);
        content[at] = 0xFF;
        files.AddFile(Path, content);
        var error = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotStore.OpenAsync("/meta", "vm", files).AsTask());
        Assert.Equal((LibvirtErrorCode.InvalidDomainSnapshot, $"'{Path}' cannot be used: it is no UTF-8 text at byte {at}."), (error.Code, error.Message));
    }

    [Fact]
    public async Task A_deletion_of_other_disks_than_its_snapshots_is_damage()
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore store = await WithTwoAsync(files);
        await store.BeginDeletionAsync(Deletion(store.Tree.Find("s1")));
        string content = Encoding.UTF8.GetString(files.ReadFile(Path));
        files.AddFile(Path, Encoding.UTF8.GetBytes(content.Replace("<disk name=\"vdb\" merge", "<disk name=\"vdx\" merge", StringComparison.Ordinal)));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotStore.OpenAsync("/meta", "vm", files).AsTask());
        Assert.Equal(LibvirtErrorCode.InvalidDomainSnapshot, error.Code);
        Assert.EndsWith("The snapshot 's1' is of vda, vdb, and the deletion is of vda, vdx.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_that_XML_cannot_hold_is_refused_before_anything_is_noted()
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore store = await WithTwoAsync(files);
        byte[] before = files.ReadFile(Path);
        SnapshotDeletion deletion = Deletion(store.Tree.Find("s1"));
        deletion = deletion with { Disks = [deletion.Disks[0] with { Relink = ["/vm/odd\u0001name"] }, deletion.Disks[1]] };
        var error = await Assert.ThrowsAsync<LibvirtException>(() => store.BeginDeletionAsync(deletion).AsTask());
        Assert.Equal((LibvirtErrorCode.OperationUnsupported, "'/vm/odd\\u0001name' cannot be noted, for its name has characters that XML has not. Rename it first."), (error.Code, error.Message));
        Assert.Null(store.Deletion);
        Assert.Equal(before, files.ReadFile(Path));
    }

    [Theory]
    [InlineData("")]
    [InlineData(".vm")]
    [InlineData("a/b")]
    public async Task A_domain_whose_name_is_no_file_name_is_refused(string domain)
    {
        var error = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotStore.OpenAsync("/meta", domain, new MemoryStorageProvider()).AsTask());
        Assert.Equal(LibvirtErrorCode.InvalidArg, error.Code);
    }

    internal static async Task<SnapshotStore> WithTwoAsync(StorageProvider files)
    {
        SnapshotStore store = await SnapshotStore.OpenAsync("/meta", "vm", files);
        await store.AddAsync(Record("s1", null, "a", "b"));
        await store.AddAsync(Record("s2", "s1", "b", "c"));
        return store;
    }

    private static async Task RefusedAsync(ValueTask call, string message)
    {
        var error = await Assert.ThrowsAsync<LibvirtException>(() => call.AsTask());
        Assert.Equal((LibvirtErrorCode.OperationInvalid, message), (error.Code, error.Message));
    }
}
