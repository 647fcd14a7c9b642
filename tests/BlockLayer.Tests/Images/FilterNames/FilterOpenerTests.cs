using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Images;

public class FilterOpenerTests
{
    private const int Length = 256 * 1024;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_mirror_is_opened_by_name_with_a_log_beside_its_destination()
    {
        await CreateAsync("source", writer: 1);
        await CreateAsync("copy", writer: 2);
        await using (Disk disk = await OpenAsync("blkmirror:source:raw:copy"))
        {
            Assert.IsType<MirrorNode>(disk.Root.GetChild(EdgeRole.Filtered));
            await disk.WriteAsync(1000, Pattern.Of(1000, 5000, 3));
        }

        Assert.NotNull(_environment.Files.GetInfo("copy.mirror-log"));
        byte[] expected = Pattern.Of(0, Length, 1);
        Pattern.Fill(expected.AsSpan(1000, 5000), 1000, 3);
        Assert.Equal(expected, await ReadAsync("source"));
        Assert.Equal(expected, await ReadAsync("copy"));
    }

    [Fact]
    public async Task A_mirror_that_is_only_read_makes_no_log_and_copies_nothing()
    {
        await CreateAsync("source", writer: 1);
        await CreateAsync("copy", writer: 2);
        await using (Disk disk = await OpenAsync("blkmirror:source:copy", NodeAccess.ReadOnly))
        {
            Assert.True(disk.IsReadOnly);
        }

        Assert.Null(_environment.Files.GetInfo("copy.mirror-log"));
        Assert.Equal(Pattern.Of(0, Length, 2), await ReadAsync("copy"));
    }

    [Fact]
    public async Task Blkstream_fills_an_image_as_it_is_read()
    {
        await CreateAsync("base", writer: 1);
        var creator = new ImageCreator(BuiltInFormats.All, _environment);
        await creator.CreateAsync("overlay", new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("base", "raw") }, OpenPolicy.Default);
        await using (Disk disk = await Disk.OpenByNameAsync("blkstream:overlay", new DiskOptions { Environment = _environment }))
        {
            await disk.ReadAsync(70_000, new byte[10]);
            await disk.FlushAsync();
        }

        await using Disk plain = await Disk.OpenAsync("overlay", new DiskOptions { Environment = _environment });
        BlockStatus copied = await plain.GetStatusAsync(65_536, 65_536);
        Assert.Equal((0, 65_536L), (copied.Depth, copied.Length));
        Assert.Equal(1, (await plain.GetStatusAsync(0, 65_536)).Depth);
    }

    [Fact]
    public async Task Filters_are_nested_and_do_what_their_names_say()
    {
        await CreateAsync("disk", writer: 1);
        await CreateAsync("reference", writer: 1);
        await using Disk disk = await OpenAsync("blkdebug:write,once,error=nospace:throttle:bps-total=1G:blkverify:reference:disk");
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.WriteAsync(0, new byte[512]));
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        await disk.WriteAsync(0, new byte[512]);
        await disk.ReadAsync(0, new byte[Length]);
        string[] drivers = ["fault-injection", "throttle", "blkverify", "raw"];
        BlockNode? node = disk.Root;
        Assert.All(drivers, driver => Assert.Equal(driver, (node = node!.GetChild(EdgeRole.Filtered))!.DriverName));
    }

    [Theory]
    [InlineData("throttle:speed=1:disk", "'speed' is no limit")]
    [InlineData("blkdebug:reed:disk", "'reed' is no operation")]
    [InlineData("blkmirror:disk", "does not read")]
    public async Task A_name_that_cannot_be_read_opens_nothing(string name, string message)
        => Assert.Contains(message, (await Assert.ThrowsAsync<ArgumentException>(() => OpenAsync(name))).Message, StringComparison.Ordinal);

    // After each failure everything is closed again: the images can be locked for writing.
    [Theory]
    [InlineData("blkmirror:disk:nowhere", BlockErrorKind.NotFound)]
    [InlineData("blkmirror:disk:short", BlockErrorKind.OutOfRange)]
    [InlineData("blkmirror:disk:disk", BlockErrorKind.InvalidFormat)]
    [InlineData("blkverify:short:disk", BlockErrorKind.OutOfRange)]
    [InlineData("blkverify:nowhere:disk", BlockErrorKind.NotFound)]
    [InlineData("blkstream:nowhere", BlockErrorKind.NotFound)]
    [InlineData("blkmirror:disk:foreign", BlockErrorKind.InvalidFormat)]
    public async Task What_cannot_be_opened_leaves_nothing_open(string name, BlockErrorKind kind)
    {
        await CreateAsync("disk", writer: 1);
        await CreateAsync("foreign", writer: 1);
        await CreateAsync("foreign.mirror-log", writer: 3); // somebody's file
        await CreateAsync("short", writer: 1, length: 512);
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(() => OpenAsync(name));
        Assert.Equal(kind, error.Kind);
        foreach (string file in new[] { "disk", "short", "foreign", "foreign.mirror-log" })
        {
            await using BlockStorage locked = await _environment.Files.OpenAsync(
                file, new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None);
        }

        Assert.Equal(Pattern.Of(0, Length, 3), await ReadAsync("foreign.mirror-log"));
    }

    [Fact]
    public async Task A_file_with_such_a_name_is_reached_and_names_inside_images_are_none()
    {
        await CreateAsync("blkstream:disk", writer: 1);
        await using (Disk disk = await Disk.OpenAsync("blkstream:disk", new DiskOptions { Format = "raw", Environment = _environment }))
        {
            Assert.Equal("raw", disk.Root.GetChild(EdgeRole.Filtered)!.DriverName);
        }

        await CreateAsync("disk", writer: 1);
        var creator = new ImageCreator(BuiltInFormats.All, _environment);
        var image = new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("blkstream:disk", "raw"), Verification = BackingVerification.None };
        await creator.CreateAsync("overlay", image, OpenPolicy.Default);
        await Assert.ThrowsAnyAsync<BlockLayerException>(
            () => Disk.OpenByNameAsync("blkstream:overlay", new DiskOptions { Environment = _environment }).AsTask());
    }

    private Task<Disk> OpenAsync(string name, NodeAccess access = NodeAccess.ReadWrite)
        => Disk.OpenByNameAsync(name, new DiskOptions { Format = "raw", Access = access, Environment = _environment }).AsTask();

    private async Task CreateAsync(string path, int writer, int length = Length)
    {
        await using BlockStorage file = await _environment.Files.OpenAsync(
            path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None);
        await file.WriteAsync(0, Pattern.Of(0, length, writer), CancellationToken.None);
    }

    private async Task<byte[]> ReadAsync(string path)
    {
        await using BlockStorage file = await _environment.Files.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None);
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes, CancellationToken.None);
        return bytes;
    }
}
