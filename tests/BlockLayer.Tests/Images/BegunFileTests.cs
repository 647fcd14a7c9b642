using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>What becomes of a file that was to be an image, when making the image fails.</summary>
public class BegunFileTests
{
    private const string Device = "/dev/vg/lv";
    private const int Length = 1 << 20;

    private readonly MemoryStorageProvider _files = new();

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_device_that_an_image_does_not_fit_on_is_not_deleted(string format)
    {
        await using (BlockStorage device = await _files.OpenAsync(Device, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None))
        {
            await device.SetLengthAsync(4 * Length, CancellationToken.None);
        }

        var environment = BlockEnvironment.Default with { Files = new DeviceFiles(_files, Device) };
        var creator = new ImageCreator(BuiltInFormats.All, environment);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await creator.CreateAsync(Device, new NewImage { Format = format, Length = Length }, OpenPolicy.Default));
        Assert.Equal(4 * Length, _files.GetInfo(Device)?.Length);
    }

    // One of two files cannot be removed; the other is, and the error is the one that ended it all.
    [Theory]
    [InlineData("create", "/copy", "/copy.data")]
    [InlineData("write", "/copy.data", "/copy")]
    [InlineData("mirror", null, "/copy")]
    [InlineData("snapshot", null, "/copy")]
    public async Task A_file_that_cannot_be_removed_again_is_told_beside_the_reason_and_hides_it_not(string making, string? full, string left)
    {
        var files = new SimulatedStorageProvider();
        var options = new DiskOptions { Environment = SimulatedEnvironment.Inline(files) };
        await using Disk disk = await Disk.CreateAsync("/disk", new NewImage { Format = "qcow2", Length = Length }, options);
        await disk.WriteAsync(0, new byte[] { 1 });
        var image = new NewImage { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["data_file"] = "copy.data" } };
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = left });
        if (full is not null)
        {
            files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = full, Kind = BlockErrorKind.NoSpace });
        }

        BlockLayerException told = await Assert.ThrowsAsync<BlockLayerException>(() => MakeAsync(making, disk, image));
        var reason = Assert.IsType<BlockLayerException>(told.InnerException);
        Assert.Equal((full is null ? BlockErrorKind.Conflict : BlockErrorKind.NoSpace, reason.Path), (told.Kind, told.Path));
        Assert.Equal($"{reason.Message} What was begun is not all undone: '{left}': Injected fault: Delete failed.", told.Message);
        Assert.Equal([left], files.ListFiles("/").Where(static path => path.StartsWith("/copy", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_copy_that_is_cancelled_is_cancelled_although_its_file_cannot_be_removed()
    {
        var files = new SimulatedStorageProvider();
        var options = new DiskOptions { Environment = SimulatedEnvironment.Inline(files) };
        await using Disk disk = await Disk.CreateAsync("/disk", new NewImage { Format = "qcow2", Length = Length }, options);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = "/copy" });
        using var stop = new CancellationTokenSource();
        var writer = new ImageWriter(BuiltInFormats.All, options.Environment with { Files = new WatchedFiles(files) { AfterOpen = path => Cancel(path, stop) } }, OpenPolicy.Default);
        var told = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.WriteNewAsync(disk.Root, "/copy", new NewImage { Format = "raw" }, cancellationToken: stop.Token));
        Assert.Equal(stop.Token, told.CancellationToken);
        Assert.EndsWith("What was begun is not all undone: '/copy': Injected fault: Delete failed.", told.Message, StringComparison.Ordinal);
    }

    // Who is told that nothing was made finds nothing, whenever the making failed.
    [Theory]
    [InlineData("qcow2", "data_file", "copy.data")]
    [InlineData("add-cow", "image_file", "copy.data")]
    public async Task An_image_whose_backing_file_cannot_be_closed_is_removed_as_any_that_failed(string format, string option, string data)
    {
        var files = new SimulatedStorageProvider();
        BlockEnvironment environment = SimulatedEnvironment.Inline(files);
        await (await Disk.CreateAsync("/base", new NewImage { Format = "qcow2", Length = Length }, new DiskOptions { Environment = environment })).DisposeAsync();
        var creator = new ImageCreator(BuiltInFormats.All, environment with { Files = new HookedStorageProvider(files, "/base", new FailingClose()) });
        var image = new NewImage { Format = format, Backing = new BackingReference("base", "qcow2"), Options = new Dictionary<string, string> { [option] = data } };
        BlockLayerException told = await Assert.ThrowsAsync<BlockLayerException>(async () => await creator.CreateAsync("/copy", image, OpenPolicy.Default));
        Assert.Equal(("/base", FailingClose.Message), (told.Path, told.Message));
        Assert.Equal(["/base"], files.ListFiles("/"));
    }

    [Fact]
    public async Task An_image_that_cannot_be_made_over_a_backing_file_that_cannot_be_closed_is_told_both()
    {
        var files = new SimulatedStorageProvider();
        BlockEnvironment environment = SimulatedEnvironment.Inline(files);
        await (await Disk.CreateAsync("/base", new NewImage { Format = "qcow2", Length = Length }, new DiskOptions { Environment = environment })).DisposeAsync();
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/copy", Kind = BlockErrorKind.NoSpace });
        var creator = new ImageCreator(BuiltInFormats.All, environment with { Files = new HookedStorageProvider(files, "/base", new FailingClose()) });
        var image = new NewImage { Format = "qcow2", Backing = new BackingReference("base", "qcow2") };
        BlockLayerException told = await Assert.ThrowsAsync<BlockLayerException>(async () => await creator.CreateAsync("/copy", image, OpenPolicy.Default));
        Assert.Equal(
            (BlockErrorKind.NoSpace, $"Injected fault: Write failed. What was begun is not all undone: '/base': {FailingClose.Message}"), (told.Kind, told.Message));
        Assert.Equal(["/base"], files.ListFiles("/"));
    }

    private static void Cancel(string path, CancellationTokenSource stop)
    {
        if (path == "/copy")
        {
            stop.Cancel();
        }
    }

    private static async Task MakeAsync(string making, Disk disk, NewImage image)
    {
        BlockEnvironment environment = disk.Root.Environment;
        switch (making)
        {
            case "create":
                await new ImageCreator(BuiltInFormats.All, environment).CreateAsync("/copy", image, OpenPolicy.Default);
                break;
            case "write":
                await new ImageWriter(BuiltInFormats.All, environment, OpenPolicy.Default).WriteNewAsync(disk.Root, "/copy", image);
                break;
            case "mirror":
                using (ChainClaim.Take(disk.Root.SkipFilters(), disk.Root.SkipFilters(), "somebody"))
                {
                    await disk.StartMirrorAsync("/copy", create: image);
                }

                break;
            default:
                var overlay = new DiskOverlay(disk, "/copy", new OverlayOptions { CreateOptions = image.Options });
                await DiskSnapshot.TakeAsync([overlay], static _ => throw new BlockLayerException(BlockErrorKind.Conflict, "Somebody else writes the record."));
                break;
        }
    }
}
