using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class MirrorInsertTests
{
    private const int Length = 1 << 20;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_disk_in_use_is_mirrored_until_the_mirror_is_taken_out()
    {
        await using Disk disk = await NewDiskAsync();
        await disk.WriteAsync(1000, Pattern.Of(1000, 400_000, 1));
        await CreateAsync("copy");
        MirrorNode mirror = await disk.AddMirrorAsync("blkmirror:raw:copy", options: new DiskOptions { Environment = _environment });
        Assert.Equal((MirrorState.Mirroring, 0L), (mirror.Status.State, mirror.Status.DifferingBytes));
        await disk.WriteAsync(300_000, Pattern.Of(300_000, 300_000, 2));
        Assert.Same(mirror, disk.Root.GetChild(EdgeRole.Filtered));
        await mirror.RemoveAsync();
        byte[] mirrored = await ReadAllAsync(disk.Root);

        await disk.WriteAsync(0, Pattern.Of(0, 512, 3)); // the copy's no more
        Assert.Equal("qcow2", disk.Root.GetChild(EdgeRole.Filtered)!.DriverName);
        BlockLayerException gone = await Assert.ThrowsAnyAsync<BlockLayerException>(
            async () => await disk.AddMirrorAsync("raw:nowhere", options: new DiskOptions { Environment = _environment }));
        Assert.Equal(BlockErrorKind.NotFound, gone.Kind);
        await using Disk copy = await Disk.OpenAsync("copy", new DiskOptions { Format = "raw", Environment = _environment });
        Assert.Equal(mirrored, await ReadAllAsync(copy.Root));
    }

    [Fact]
    public async Task A_mirror_lives_as_long_as_its_disk()
    {
        Disk disk = await NewDiskAsync();
        await CreateAsync("copy");
        await disk.AddMirrorAsync("copy", options: new DiskOptions { Format = "raw", Environment = _environment });
        await disk.DisposeAsync();
        foreach (string file in new[] { "disk", "copy", "copy.mirror-log" })
        {
            await using BlockStorage locked = await _environment.Files.OpenAsync(
                file, new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None);
        }
    }

    [Fact]
    public async Task A_target_that_is_too_short_is_let_go_and_the_disk_is_as_it_was()
    {
        await using Disk disk = await NewDiskAsync();
        await CreateAsync("copy", Length - 512);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await disk.AddMirrorAsync("raw:copy", options: new DiskOptions { Environment = _environment }));
        Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
        Assert.Equal("qcow2", disk.Root.GetChild(EdgeRole.Filtered)!.DriverName);
        await disk.WriteAsync(0, Pattern.Of(0, 512, 1));
        await using BlockStorage locked = await _environment.Files.OpenAsync(
            "copy", new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None);
    }

    [Fact]
    public async Task A_link_that_somebody_needs_as_it_is_keeps_the_mirror_out()
    {
        await using Disk disk = await NewDiskAsync();
        await CreateAsync("copy");
        using (disk.Root.Children[0].FreezeFor("a job"))
        {
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
                async () => await disk.AddMirrorAsync("raw:copy", options: new DiskOptions { Environment = _environment }));
            Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        }

        await disk.WriteAsync(0, Pattern.Of(0, 512, 1));
        MirrorNode mirror = await disk.AddMirrorAsync("raw:copy", options: new DiskOptions { Environment = _environment }); // nothing was left locked
        await mirror.RemoveAsync();
    }

    private async Task<Disk> NewDiskAsync()
        => await Disk.CreateAsync("disk", new NewImage { Format = "qcow2", Length = Length }, new DiskOptions { Environment = _environment });

    private async Task CreateAsync(string path, int length = Length)
    {
        await using BlockStorage file = await _environment.Files.OpenAsync(
            path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None);
        await file.WriteAsync(0, Pattern.Of(0, length, writer: 9), CancellationToken.None);
    }

    private static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        return content;
    }
}
