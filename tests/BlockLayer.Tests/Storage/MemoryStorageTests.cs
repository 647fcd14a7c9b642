using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>What memory storage does beyond the contract: limited room, exact holes, paths that are text.</summary>
public sealed class MemoryStorageTests
{
    private const int Page = 4096;

    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task Room_is_limited_and_a_write_gets_all_of_it_or_none()
    {
        var provider = new MemoryStorageProvider(capacity: 3 * Page);
        await using BlockStorage file = await CreateAsync(provider, "/disk");
        await file.WriteAsync(0, Pattern.Of(0, 2 * Page, 1), s_none);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteAsync(Page, Pattern.Of(Page, 3 * Page, 2), s_none));

        byte[] read = new byte[2 * Page];
        await file.ReadAsync(0, read, s_none);
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        Assert.Equal("Write of 12288 bytes at 4096 needs 8192 bytes of room, more than is left.", error.Message);
        Assert.Equal("/disk", error.Path);
        Assert.Equal(Page, error.Offset);
        Assert.Equal(Pattern.Of(0, 2 * Page, 1), read);
        Assert.Equal(2 * Page, file.Length);
        await file.WriteAsync(2 * Page, new byte[Page], s_none);
        Assert.Equal(3 * Page, provider.UsedLength);
    }

    [Fact]
    public async Task Zeroes_that_keep_their_room_need_it_and_others_do_not()
    {
        var provider = new MemoryStorageProvider(capacity: Page);
        await using BlockStorage file = await CreateAsync(provider, "/disk");

        await file.WriteZeroesAsync(0, 100 * Page, ZeroMode.MayUnmap, s_none);
        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteZeroesAsync(0, 2 * Page, ZeroMode.KeepAllocated, s_none));

        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        Assert.Equal(100 * Page, file.Length);
        Assert.Equal(0, provider.UsedLength);
    }

    [Fact]
    public async Task Room_comes_back_from_discards_cuts_and_deleted_files()
    {
        var provider = new MemoryStorageProvider();
        BlockStorage file = await CreateAsync(provider, "/disk");
        await file.WriteAsync(0, new byte[10 * Page], s_none);

        await file.DiscardAsync(Page - 1, (2 * Page) + 1, s_none);
        Assert.Equal(8 * Page, provider.UsedLength);
        await file.SetLengthAsync((5 * Page) + 1, s_none);
        Assert.Equal(4 * Page, provider.UsedLength);
        await file.DiscardAsync(5 * Page, 1, s_none);
        Assert.Equal(3 * Page, provider.UsedLength);
        await file.WriteAsync(5 * Page, new byte[1], s_none);
        await provider.DeleteAsync("/disk", s_none);
        Assert.Equal(4 * Page, provider.UsedLength);
        await file.DisposeAsync();
        await file.DisposeAsync();
        Assert.Equal(0, provider.UsedLength);
    }

    [Fact]
    public async Task Replaced_file_gives_its_room_back()
    {
        var provider = new MemoryStorageProvider();
        foreach (string name in (string[])["/old", "/new"])
        {
            await using BlockStorage file = await CreateAsync(provider, name);
            await file.WriteAsync(0, new byte[Page], s_none);
        }

        await provider.RenameAsync("/new", "/old", s_none);

        Assert.Equal(Page, provider.UsedLength);
    }

    // A position far out makes the page table higher; what was written before must stay found, and the hole between is one.
    [Fact]
    public async Task Positions_reach_to_the_end_of_the_address_space()
    {
        await using BlockStorage file = await CreateAsync(new MemoryStorageProvider(), "/disk");
        long far = MemoryFileContent.MaxLength - 10;
        await file.WriteAsync(5, Pattern.Of(5, 10, 1), s_none);
        await file.WriteAsync(1L << 40, Pattern.Of(1L << 40, 10, 1), s_none);
        await file.WriteAsync(far, Pattern.Of(far, 10, 1), s_none);

        foreach (long offset in (long[])[5, 1L << 40, far])
        {
            byte[] read = new byte[10];
            await file.ReadAsync(offset, read, s_none);
            Assert.Equal(Pattern.Of(offset, 10, 1), read);
        }

        Assert.Equal(new StorageExtent(Page, IsHole: false), await file.GetExtentAsync(0, file.Length, s_none));
        Assert.Equal(new StorageExtent((1L << 40) - Page, IsHole: true), await file.GetExtentAsync(Page, file.Length - Page, s_none));
        Assert.Equal(3 * Page, file.AllocatedLength);
        await file.WriteZeroesAsync(0, file.Length, ZeroMode.MayUnmap, s_none);
        Assert.Equal(0, file.AllocatedLength);
        Assert.Equal(new StorageExtent(file.Length, IsHole: true), await file.GetExtentAsync(0, file.Length, s_none));
    }

    [Fact]
    public async Task Write_past_the_address_space_is_refused()
    {
        await using BlockStorage file = await CreateAsync(new MemoryStorageProvider(), "/disk");

        var write = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteAsync(long.MaxValue - 3, new byte[10], s_none));
        var zeroes = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteZeroesAsync(10, long.MaxValue, ZeroMode.MayUnmap, s_none));
        var length = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.SetLengthAsync(long.MaxValue, s_none));

        Assert.All((BlockLayerException[])[write, zeroes, length], error => Assert.Equal(BlockErrorKind.NoSpace, error.Kind));
        Assert.Equal("10 bytes at 9223372036854775804 end past the largest length, which is 9223372036854771712.", write.Message);
        Assert.Equal(0, file.Length);
    }

    [Theory]
    [InlineData("disk", "/disk")]
    [InlineData("/a/./b//disk", "/a/b/disk")]
    [InlineData("/a/b/../disk", "/a/disk")]
    [InlineData("../../disk", "/disk")]
    public void Paths_are_resolved_in_their_text(string path, string expected)
        => Assert.Equal(expected, new MemoryStorageProvider().GetRealPath(path));

    [Fact]
    public async Task File_is_no_directory_and_a_directory_no_file()
    {
        var provider = new MemoryStorageProvider();
        await (await CreateAsync(provider, "/a/b")).DisposeAsync();

        var onDirectory = await Assert.ThrowsAsync<BlockLayerException>(async () => await CreateAsync(provider, "/a"));
        var beneathFile = await Assert.ThrowsAsync<BlockLayerException>(async () => await CreateAsync(provider, "/a/b/c"));
        var renamed = await Assert.ThrowsAsync<BlockLayerException>(async () => await provider.RenameAsync("/a/b", "/a/b/c", s_none));

        Assert.Equal(BlockErrorKind.Denied, onDirectory.Kind);
        Assert.Equal(BlockErrorKind.NotFound, beneathFile.Kind);
        Assert.Equal("/a/b is a file, not a directory.", beneathFile.Message);
        Assert.Equal(BlockErrorKind.NotFound, renamed.Kind);
        Assert.Equal(StorageFileKind.Regular, provider.GetInfo("/a/b")!.Kind);
    }

    [Fact]
    public async Task Files_of_two_providers_are_never_the_same()
    {
        await using BlockStorage one = await CreateAsync(new MemoryStorageProvider(), "/disk");
        await using BlockStorage two = await CreateAsync(new MemoryStorageProvider(), "/disk");

        Assert.NotEqual(one.Identity, two.Identity);
    }

    [Fact]
    public async Task Requests_allocate_nothing_but_pages()
    {
        await using BlockStorage file = await CreateAsync(new MemoryStorageProvider(), "/disk");
        byte[] buffer = new byte[Page];
        await file.WriteAsync(0, buffer, s_none);
        await file.ReadAsync(0, buffer, s_none);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Assert.True(file.WriteAsync(0, buffer, s_none).IsCompletedSuccessfully);
            Assert.True(file.ReadAsync(0, buffer, s_none).IsCompletedSuccessfully);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static ValueTask<BlockStorage> CreateAsync(MemoryStorageProvider provider, string path)
        => provider.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none);
}
