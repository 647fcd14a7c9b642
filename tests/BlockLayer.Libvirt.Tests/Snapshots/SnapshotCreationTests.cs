using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.MergeDirection;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>What becomes of the files of a snapshot that is not made, because something failed or a crash came first.</summary>
public class SnapshotCreationTests
{
    private const string Notes = "/meta/vm.snapshots.xml.new";

    private static readonly EmptyOverlay s_overlay = new("/vm/a.s1", "qcow2", SnapshotWorld.DiskLength, new BackingReference("a.qcow2", "qcow2"));

    [Theory]
    [InlineData(StorageOperations.Write, "/vm/b.s1", 0)]       // while the second file is made
    [InlineData(StorageOperations.Create, "/vm/b.s1", 0)]
    [InlineData(StorageOperations.Write, Notes, 1)]            // the snapshot cannot be noted
    [InlineData(StorageOperations.FlushDirectory, "/meta", 1)] // it is noted, and that may last or not
    public async Task A_snapshot_that_fails_leaves_no_files_and_can_be_made_again(StorageOperations operation, string path, int skip)
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files));
        byte[] a = await world.ReadAsync("vda");
        await world.Open("vda").FlushAsync();
        await world.Open("vdb").FlushAsync();
        files.Faults.Add(new FaultRule { Operations = operation, Path = path, Skip = skip, Count = 1 });
        using var recorder = new CrashRecorder(files);
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotAsync(world));
        Assert.Contains("Injected fault", failure.Message, StringComparison.Ordinal);

        Assert.Equal(1, files.Faults.Hits);
        Assert.Equal(["/vm/a.qcow2", "/vm/b.qcow2"], files.ListFiles("/vm"));
        Assert.Null((await SnapshotStore.OpenAsync("/meta", "vm", files)).Creation);
        await CrashCheck.RunAsync(recorder, async (_, left) =>
        {
            await using SnapshotWorld again = await SnapshotWorld.RestartAsync(SimulatedEnvironment.Inline(left));
            Assert.Equal(a, await again.ReadAsync("vda"));
        }, new CrashEnumeration { ExhaustiveLimit = 4, RandomSubsets = 3, TornWrites = false });
        recorder.Dispose();
        await SnapshotAsync(world);
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
    }

    // It is noted, and the disks use its files: it is no snapshot that failed.
    [Fact]
    public async Task A_snapshot_is_made_although_an_image_below_cannot_be_made_read_only()
    {
        var files = new SimulatedStorageProvider();
        BlockEnvironment environment = SimulatedEnvironment.Inline(files);
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(environment with { Files = new HookedStorageProvider(files, "/vm/a.qcow2", new StuckLock()) });
        SnapshotRecord made = await world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Forward, Forward));
        Assert.Equal((LibvirtErrorCode.SystemError, $"/vm/a.qcow2: {StuckLock.Message}"), (made.LateError?.Code, made.LateError?.Message));
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2", "s1"), (world.Chain("vda"), world.Chain("vdb"), (await world.TreeAsync()).CurrentName));
        await world.WriteAsync(0, 512);
        await world.RememberAsync("after");
        await world.Connection.ShutOffAsync(world.Domain);
        await using SnapshotWorld again = await SnapshotWorld.RestartAsync(environment);
        Assert.Equal("a.s1 a.qcow2", again.Chain("vda"));
        Assert.Equal(world.Shown("after", "vda"), await again.ReadAsync("vda"));
        Assert.Null((await again.TreeAsync()).Current!.LateError);
    }

    // What a note that failed has left is not known, so files that it may name stay until it is.
    [Fact]
    public async Task Files_that_cannot_be_removed_yet_are_removed_before_the_next_snapshot()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files));
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = Notes, Skip = 1, Count = 2, Kind = BlockErrorKind.NoSpace });
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotAsync(world));
        Assert.Equal(LibvirtErrorCode.OperationFailed, failure.Code);
        Assert.EndsWith("The next snapshot, deletion or start of 'vm' does that.", failure.Message, StringComparison.Ordinal);
        Assert.NotNull(files.GetInfo("/vm/a.s1"));
        Assert.Equal("a.qcow2", world.Chain("vda"));

        await SnapshotAsync(world);
        Assert.Equal(("a.s1 a.qcow2", "b.s1 b.qcow2"), (world.Chain("vda"), world.Chain("vdb")));
    }

    [Fact]
    public async Task A_file_that_exists_is_refused_before_anything_is_noted()
    {
        var files = new SimulatedStorageProvider();
        await using SnapshotWorld world = await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files));
        files.AddFile("/vm/b.s1", []); // even one that holds nothing
        var refusal = await Assert.ThrowsAsync<LibvirtException>(() => SnapshotAsync(world));
        Assert.StartsWith("'/vm/b.s1', the new file of 'vdb', exists already: remove it, or name another", refusal.Message, StringComparison.Ordinal);
        Assert.Null(files.GetInfo("/meta/vm.snapshots.xml"));
        Assert.Equal(["/vm/a.qcow2", "/vm/b.qcow2", "/vm/b.s1"], files.ListFiles("/vm"));
    }

    [Fact]
    public async Task A_start_removes_what_a_creation_has_left()
    {
        (SimulatedStorageProvider files, byte[] overlay) = await WithCreationAsync();
        Assert.False(await IsLeftAsync(files));
        (files, _) = await WithCreationAsync();
        files.AddFile("/vm/a.s1", overlay.AsSpan()[..^512]);
        Assert.False(await IsLeftAsync(files));
        (files, _) = await WithCreationAsync();
        files.AddFile("/vm/a.s1", []);
        Assert.False(await IsLeftAsync(files));
    }

    [Fact]
    public async Task A_start_that_cannot_remove_it_says_so_and_the_next_does()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = s_overlay.Path, Count = 1 });
        await using SnapshotWorld world = SnapshotWorld.Define(SimulatedEnvironment.Inline(files));
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.StartAsync(world.Domain).AsTask());
        Assert.Equal(LibvirtErrorCode.SystemError, failure.Code);
        Assert.Equal("What a crash has left of the snapshots of 'vm' cannot be ended: /vm/a.s1: Injected fault: Delete failed.", failure.Message);
        await world.Connection.StartAsync(world.Domain);
        Assert.Null(files.GetInfo(s_overlay.Path));
    }

    [Fact]
    public async Task A_file_that_is_not_what_the_creation_makes_stays()
    {
        (SimulatedStorageProvider files, byte[] overlay) = await WithCreationAsync();
        overlay[^1] = 1;
        files.AddFile("/vm/a.s1", overlay);
        Assert.True(await IsLeftAsync(files));
        Assert.Equal(overlay, files.ReadFile("/vm/a.s1"));

        (files, overlay) = await WithCreationAsync();
        files.AddFile("/vm/a.s1", [.. overlay, 0]);
        Assert.True(await IsLeftAsync(files));
    }

    [Fact]
    public async Task A_file_that_a_guest_has_written_stays()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        await using (Disk disk = await Disk.OpenAsync("/vm/a.s1", new DiskOptions { Environment = SimulatedEnvironment.Inline(files) }))
        {
            await disk.WriteAsync(0, new byte[] { 1 });
        }

        Assert.True(await IsLeftAsync(files));
    }

    [Fact]
    public async Task A_file_that_an_image_stands_on_stays()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        await CreateOverlayAsync(files, "/vm/above", "a.s1");
        Assert.True(await IsLeftAsync(files));
    }

    [Fact]
    public async Task A_file_beside_an_image_that_cannot_be_judged_stays()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        files.AddFile("/vm/secret", new byte[512]);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Path = "/vm/secret" });
        Assert.True(await IsLeftAsync(files));
    }

    [Fact]
    public async Task A_file_that_somebody_has_open_stays()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        await using BlockStorage reader = await files.OpenAsync("/vm/a.s1", new StorageOpenOptions { Lock = ImageLock.Reader }, CancellationToken.None);
        Assert.True(await IsLeftAsync(files));
    }

    [Theory]
    [InlineData("<disk type='file'><driver type='qcow2'/><source file='/vm/a.s1'/><target dev='vda'/></disk>")]
    [InlineData("<disk type='file'><driver type='qcow2'/><source file='/vm/x'/><target dev='vda'/><backingStore type='file'><format type='qcow2'/><source file='/vm/a.s1'/><backingStore/></backingStore></disk>")]
    public async Task A_file_that_the_definition_of_a_domain_leads_to_stays(string disk)
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        Assert.True(await IsLeftAsync(files, host => host.Connect().Define($"<domain><name>other</name><devices>{disk}</devices></domain>")));
    }

    [Fact]
    public async Task A_file_that_a_snapshot_names_stays()
    {
        (SimulatedStorageProvider files, _) = await WithCreationAsync();
        SnapshotStore store = await SnapshotStore.OpenAsync("/meta", "vm", files);
        SnapshotCreation creation = store.Creation!;
        await store.AddAsync(SnapshotSamples.Record("s0", null, "z", "a.s1"));
        await store.BeginCreationAsync(creation, CancellationToken.None);
        Assert.True(await IsLeftAsync(files));
    }

    private static Task SnapshotAsync(SnapshotWorld world) => world.Api.CreateAsync(world.Domain, SnapshotWorld.SnapshotXml("s1", Backward, Backward)).AsTask();

    // What a crash leaves that comes when the first of two files was made.
    private static async Task<(SimulatedStorageProvider Files, byte[] Overlay)> WithCreationAsync()
    {
        var files = new SimulatedStorageProvider();
        await using (await SnapshotWorld.StartAsync(SimulatedEnvironment.Inline(files)))
        {
            SnapshotStore store = await SnapshotStore.OpenAsync("/meta", "vm", files);
            await store.BeginCreationAsync(new SnapshotCreation("s1", [s_overlay, s_overlay with { Path = "/vm/b.s1" }]), CancellationToken.None);
        }

        await CreateOverlayAsync(files, s_overlay.Path, s_overlay.Backing.Name);
        return (files, files.ReadFile(s_overlay.Path));
    }

    private static async Task CreateOverlayAsync(SimulatedStorageProvider files, string path, string backing)
    {
        NewImage image = (s_overlay with { Backing = new BackingReference(backing, "qcow2") }).ToImage();
        await new ImageCreator(BuiltInFormats.All, SimulatedEnvironment.Inline(files)).CreateAsync(path, image, OpenPolicy.Default);
    }

    // Whether the file is there after a start, which forgets the creation in any case.
    private static async Task<bool> IsLeftAsync(SimulatedStorageProvider files, Action<LibvirtHost>? prepare = null)
    {
        await using SnapshotWorld world = SnapshotWorld.Define(SimulatedEnvironment.Inline(files));
        prepare?.Invoke(world.Host);
        await world.Connection.StartAsync(world.Domain);
        Assert.Null((await SnapshotStore.OpenAsync("/meta", "vm", files)).Creation);
        return files.GetInfo(s_overlay.Path) is not null;
    }
}
