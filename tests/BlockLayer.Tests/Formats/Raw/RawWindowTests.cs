using BlockLayer.Errors;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Raw;

/// <summary>A raw disk that is a part of a file behaves as one that is all of it.</summary>
public sealed class RawWindowContract : PersistentNodeContract
{
    private const int Offset = 4096 + 512;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        var file = new StorageNode(await _environment.Files.OpenAsync("disk", how, default), _environment);
        await file.ResizeAsync(Offset + length);
        return new RawNode("disk", file, NodeAccess.ReadWrite, window: new RawWindow(Offset, Size: null));
    }

    private protected override async ValueTask<BlockNode> ReopenAsync(NodeAccess access)
    {
        var how = new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite };
        var file = new StorageNode(await _environment.Files.OpenAsync("disk", how, default), _environment);
        return new RawNode("disk", file, access, window: new RawWindow(Offset, Size: null));
    }
}

/// <summary>What lies around a window, and what a window can be.</summary>
public sealed class RawWindowTests
{
    private const int FileLength = 1 << 20;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task Nothing_outside_the_window_is_touched()
    {
        byte[] content = Pattern.Of(0, FileLength, writer: 1);
        await WriteFileAsync(content);
        byte[] data = Pattern.Of(0, 8192, writer: 2);
        await using (BlockNode disk = await OpenAsync(("offset", "64k"), ("size", "8k")))
        {
            Assert.Equal(8192, disk.Length);
            byte[] found = new byte[8192];
            await disk.ReadAsync(0, found);
            Assert.Equal(content[65536..(65536 + 8192)], found);

            await disk.WriteAsync(0, data);
            await disk.WriteZeroesAsync(1024, 512);
            await disk.DiscardAsync(4096, 4096);
            await disk.ReadAsync(0, data);
            BlockLayerException outside = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.WriteAsync(8000, new byte[193]));
            Assert.Equal((BlockErrorKind.OutOfRange, "193 bytes at offset 8000 lie outside 'disk', which is 8192 bytes long."), (outside.Kind, outside.Message));
        }

        data.CopyTo(content, 65536);
        Assert.Equal(content, await ReadFileAsync());
    }

    [Fact]
    public async Task Holes_of_the_file_are_holes_of_the_disk()
    {
        await WriteFileAsync(new byte[FileLength], sparse: true);
        await using BlockNode disk = await OpenAsync(("offset", "64k"));
        await disk.WriteAsync(131072, Pattern.Of(0, 65536, writer: 1));
        BlockStatus hole = await disk.GetStatusAsync(0, disk.Length, StatusDepth.Node);
        BlockStatus data = await disk.GetStatusAsync(131072, disk.Length - 131072, StatusDepth.Node);
        Assert.Equal((true, 131072L), (hole.IsZero, hole.Length));
        Assert.Equal((true, 65536L, 65536L + 131072, disk), (data.IsData, data.Length, data.HostOffset, data.Provider));
    }

    [Fact]
    public async Task Without_a_size_the_disk_ends_with_the_file_and_can_be_resized_with_it()
    {
        await WriteFileAsync(new byte[FileLength]);
        await using (BlockNode disk = await OpenAsync(("offset", "1000")))
        {
            Assert.Equal(FileLength - 1000, disk.Length);
            await disk.ResizeAsync(2 * FileLength, new ResizeOptions { Preallocation = Preallocation.Falloc });
            Assert.Equal(2 * FileLength, disk.Length);
        }

        Assert.Equal((2 * FileLength) + 1000, (await ReadFileAsync()).Length);
    }

    [Fact]
    public async Task A_size_that_was_given_stays()
    {
        await WriteFileAsync(new byte[FileLength]);
        await using BlockNode disk = await OpenAsync(("size", "4k"));
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.ResizeAsync(8192));
        Assert.Equal((BlockErrorKind.Unsupported, "'disk' was opened with a size, so it keeps it; open it without one to resize it."), (refused.Kind, refused.Message));
    }

    [Theory]
    [InlineData("1048577", null, "offset is 1048577; the file ends at 1048576.")]
    [InlineData("1M", "512", "offset is 1048576 and size 512; the file ends at 1048576.")]
    [InlineData("9223372036854775807", "9223372036854775296", "offset is 9223372036854775807; the file ends at 1048576.")]
    [InlineData("512", "9223372036854775296", "offset is 512 and size 9223372036854775296; the file ends at 1048576.")]
    public async Task A_window_that_the_file_does_not_hold_is_refused(string offset, string? size, string message)
    {
        await WriteFileAsync(new byte[FileLength]);
        (string, string)[] options = size is null ? [("offset", offset)] : [("offset", offset), ("size", size)];
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(options));
        Assert.Equal((BlockErrorKind.OutOfRange, message, "disk"), (refused.Kind, refused.Message, refused.Path));
        await (await OpenAsync()).DisposeAsync(); // nothing was left open
    }

    [Theory]
    [InlineData("offset", "x", "offset is 'x'; it can be a number of bytes such as 1M.")]
    [InlineData("size", "513", "size is 513; it can be a multiple of 512.")]
    [InlineData("start", "0", "Format raw has no option 'start' to open an image with; it has offset and size.")]
    public async Task Options_that_make_no_window_are_refused(string name, string value, string message)
    {
        await WriteFileAsync(new byte[512]);
        var refused = await Assert.ThrowsAsync<ArgumentException>(async () => await OpenAsync((name, value)));
        Assert.Equal(message, refused.Message);
    }

    [Theory]
    [InlineData(Preallocation.Off)]
    [InlineData(Preallocation.Falloc)]
    [InlineData(Preallocation.Full)]
    public async Task A_new_disk_takes_the_room_it_is_told_to(Preallocation mode)
    {
        await using StorageNode file = await OpenFileAsync(StorageOpenMode.CreateNew);
        await RawFormat.Instance.CreateAsync(file, new RawCreateOptions { Length = FileLength, Preallocation = mode }, default);
        Assert.Equal(FileLength, file.Length);
        Assert.Equal(mode == Preallocation.Off ? 0 : FileLength, ((MemoryStorageProvider)_environment.Files).UsedLength);
    }

    [Fact]
    public async Task Raw_has_no_metadata_to_preallocate()
    {
        var spelled = Assert.Throws<ArgumentException>(() => RawFormat.Instance.ParseCreateOptions(
            new ImageCreateOptions { Length = 1 }, new Dictionary<string, string> { ["preallocation"] = "metadata" }));
        Assert.Equal("preallocation is 'metadata'; it can be off or falloc or full.", spelled.Message);
        await using StorageNode file = await OpenFileAsync(StorageOpenMode.CreateNew);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await RawFormat.Instance.CreateAsync(file, new RawCreateOptions { Length = 1, Preallocation = Preallocation.Metadata }, default));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
    }

    private async ValueTask<StorageNode> OpenFileAsync(StorageOpenMode mode)
        => new(await _environment.Files.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = mode }, default), _environment);

    private async ValueTask WriteFileAsync(byte[] content, bool sparse = false)
    {
        await using StorageNode file = await OpenFileAsync(StorageOpenMode.CreateNew);
        await file.ResizeAsync(content.Length);
        if (!sparse)
        {
            await file.WriteAsync(0, content);
        }
    }

    private async ValueTask<byte[]> ReadFileAsync()
    {
        await using StorageNode file = await OpenFileAsync(StorageOpenMode.OpenExisting);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content);
        return content;
    }

    private ValueTask<BlockNode> OpenAsync(params (string Name, string Value)[] options)
        => new ImageOpener(new FormatRegistry(RawFormat.Instance), _environment).OpenAsync(
            "disk",
            new ImageOpenOptions
            {
                Format = "raw",
                FormatOptions = options.ToDictionary(option => option.Name, option => option.Value),
                Access = NodeAccess.ReadWrite,
                Policy = OpenPolicy.QemuCompatible,
            });
}
