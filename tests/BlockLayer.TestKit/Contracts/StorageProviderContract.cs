using BlockLayer.Errors;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.TestKit.Contracts;

/// <summary>What every <see cref="StorageProvider"/> promises about names, opening and image locks.</summary>
public abstract class StorageProviderContract : StorageFixture
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public Task Missing_file_is_not_found() => RunAsync(async () =>
    {
        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("missing"));

        Assert.Equal(BlockErrorKind.NotFound, error.Kind);
        Assert.Equal(PathOf("missing"), error.Path);
        Assert.Null(Provider.GetInfo(PathOf("missing")));
    });

    [Fact]
    public Task New_file_must_not_exist() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await CreateAsync());

        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
    });

    [Fact]
    public Task Replaced_file_is_empty_and_a_missing_one_is_created() => RunAsync(async () =>
    {
        await using (BlockStorage old = await CreateAsync())
        {
            await old.WriteAsync(0, Bytes(5000), s_none);
        }

        foreach (string name in (string[])["file", "missing"])
        {
            var replace = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
            await using BlockStorage file = await Provider.OpenAsync(PathOf(name), replace, s_none);
            Assert.Equal(0, file.Length);
        }
    });

    [Fact]
    public Task File_to_create_must_be_writable() => RunAsync(async () =>
        await Assert.ThrowsAsync<ArgumentException>(
            async () => await Provider.OpenAsync(PathOf("file"), new StorageOpenOptions { Mode = StorageOpenMode.CreateNew }, s_none)));

    [Fact]
    public Task Files_of_a_directory_are_listed_in_order_by_the_name_that_was_given() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        foreach (string name in (string[])["b", "a"])
        {
            await (await Provider.OpenAsync(PathOf(name), new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none)).DisposeAsync();
        }

        string directory = Path.GetDirectoryName(PathOf("file"))!;

        Assert.Equal([PathOf("a"), PathOf("b"), PathOf("file")], Provider.ListFiles(directory));
    });

    [Fact]
    public Task Directory_is_refused() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        string directory = Path.GetDirectoryName(Provider.GetRealPath(PathOf("file")))!;

        foreach (StorageOpenOptions options in new[] { new StorageOpenOptions(), new StorageOpenOptions { Writable = true } })
        {
            var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await Provider.OpenAsync(directory, options, s_none));
            Assert.Equal(BlockErrorKind.Denied, error.Kind);
            Assert.Equal("The file is a directory; allowed are regular files and block devices.", error.Message);
        }

        Assert.Equal(StorageFileKind.Directory, Provider.GetInfo(directory)!.Kind);
    });

    [Fact]
    public Task Info_tells_identity_kind_and_length() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(1234), s_none);

        Assert.Equal(new StorageFileInfo(file.Identity, StorageFileKind.Regular, 1234), Provider.GetInfo(PathOf("file")));
    });

    [Fact]
    public Task Rename_replaces_what_had_the_name() => RunAsync(async () =>
    {
        await using (BlockStorage file = await CreateAsync("new"))
        {
            await file.WriteAsync(0, Bytes(10), s_none);
        }

        await (await CreateAsync("old")).DisposeAsync();
        await Provider.RenameAsync(PathOf("new"), PathOf("old"), s_none);
        await Provider.FlushDirectoryAsync(PathOf("old"), s_none);

        Assert.Null(Provider.GetInfo(PathOf("new")));
        await using BlockStorage renamed = await OpenAsync("old");
        Assert.Equal(Bytes(10), await ReadAsync(renamed, 0, 10));
    });

    [Fact]
    public Task Deleted_file_lives_on_for_those_who_have_it_open() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(10), s_none);

        await Provider.DeleteAsync(PathOf("file"), s_none);

        Assert.Null(Provider.GetInfo(PathOf("file")));
        Assert.Equal(Bytes(10), await ReadAsync(file, 0, 10));
    });

    [Fact]
    public Task Missing_file_cannot_be_renamed_or_deleted() => RunAsync(async () =>
    {
        var rename = await Assert.ThrowsAsync<BlockLayerException>(async () => await Provider.RenameAsync(PathOf("missing"), PathOf("x"), s_none));
        var delete = await Assert.ThrowsAsync<BlockLayerException>(async () => await Provider.DeleteAsync(PathOf("missing"), s_none));

        Assert.Equal(BlockErrorKind.NotFound, rename.Kind);
        Assert.Equal(BlockErrorKind.NotFound, delete.Kind);
    });

    [Fact]
    public Task Real_path_is_one_for_all_names_of_a_file() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        string real = Provider.GetRealPath(PathOf("file"));

        Assert.Equal(real, Provider.GetRealPath(PathOf("./file")));
        Assert.Equal(real, Provider.GetRealPath(real));
        Assert.Equal(Path.Combine(Path.GetDirectoryName(real)!, "missing"), Provider.GetRealPath(PathOf("missing")));
    });

    [Fact]
    public Task Writer_excludes_writers_and_readers_until_it_closes() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        BlockStorage writer = await OpenAsync(writable: true, imageLock: ImageLock.Writer);

        var second = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(writable: true, imageLock: ImageLock.Writer));
        var reader = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(imageLock: ImageLock.Reader));
        await writer.DisposeAsync();
        await (await OpenAsync(writable: true, imageLock: ImageLock.Writer)).DisposeAsync();

        Assert.Equal(BlockErrorKind.Conflict, second.Kind);
        Assert.Equal("Somebody else has the image open and does not share the permission \"write\".", second.Message);
        Assert.Equal(PathOf("file"), second.Path);
        Assert.Equal(BlockErrorKind.Conflict, reader.Kind);
        Assert.Equal("Somebody else has the image open and uses the permission \"write\", which is not to be shared.", reader.Message);
    });

    [Fact]
    public Task Readers_share_and_exclude_a_writer() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        await using BlockStorage first = await OpenAsync(imageLock: ImageLock.Reader);
        await using BlockStorage second = await OpenAsync(imageLock: ImageLock.Reader);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(writable: true, imageLock: ImageLock.Writer));

        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
    });

    [Fact]
    public Task Refused_replacement_leaves_the_file_as_it_was() => RunAsync(async () =>
    {
        await using (BlockStorage file = await CreateAsync())
        {
            await file.WriteAsync(0, Bytes(1000), s_none);
        }

        await using BlockStorage reader = await OpenAsync(imageLock: ImageLock.Reader);
        var replace = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate, Lock = ImageLock.Writer };
        await Assert.ThrowsAsync<BlockLayerException>(async () => await Provider.OpenAsync(PathOf("file"), replace, s_none));

        Assert.Equal(Bytes(1000), await ReadAsync(reader, 0, 1000));
    });

    [Fact]
    public Task Open_without_a_lock_neither_excludes_nor_is_excluded() => RunAsync(async () =>
    {
        await using BlockStorage unlocked = await CreateAsync();
        await using BlockStorage writer = await OpenAsync(writable: true, imageLock: ImageLock.Writer);
        await using BlockStorage another = await OpenAsync(writable: true);

        Assert.Equal(writer.Identity, another.Identity);
    });

    [Fact]
    public Task Refused_open_leaves_no_lock_behind() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        BlockStorage writer = await OpenAsync(writable: true, imageLock: ImageLock.Writer);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(imageLock: ImageLock.Reader));
        await writer.DisposeAsync();

        await using BlockStorage next = await OpenAsync(writable: true, imageLock: ImageLock.Writer);

        Assert.False(next.IsReadOnly);
    });

    [Fact]
    public Task A_reader_becomes_a_writer_in_place_and_a_reader_again() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        await using BlockStorage file = await OpenAsync(imageLock: ImageLock.Reader);

        await file.ChangeLockAsync(ImageLock.Writer);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(imageLock: ImageLock.Reader));
        await file.ChangeLockAsync(ImageLock.Reader);

        await using BlockStorage reader = await OpenAsync(imageLock: ImageLock.Reader);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(writable: true, imageLock: ImageLock.Writer));
    });

    [Fact]
    public Task A_reader_that_is_not_alone_stays_a_reader_and_loses_nothing() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        await using BlockStorage file = await OpenAsync(imageLock: ImageLock.Reader);
        BlockStorage other = await OpenAsync(imageLock: ImageLock.Reader);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ChangeLockAsync(ImageLock.Writer));
        Assert.Equal(
            (BlockErrorKind.Conflict, "Somebody else has the image open and does not share the permission \"write\".", PathOf("file")),
            (error.Kind, error.Message, error.Path));
        await (await OpenAsync(imageLock: ImageLock.Reader)).DisposeAsync(); // not shut out by what the attempt took
        await other.DisposeAsync();

        await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(writable: true, imageLock: ImageLock.Writer));
        await file.ChangeLockAsync(ImageLock.Writer);
    });

    [Fact]
    public Task A_lock_that_was_changed_goes_with_the_file() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        BlockStorage file = await OpenAsync(imageLock: ImageLock.Reader);
        await file.ChangeLockAsync(ImageLock.Writer);
        await file.DisposeAsync();

        await (await OpenAsync(writable: true, imageLock: ImageLock.Writer)).DisposeAsync();
    });

    [Fact]
    public Task Without_a_lock_there_is_none_to_change() => RunAsync(async () =>
    {
        await (await CreateAsync()).DisposeAsync();
        await using BlockStorage file = await OpenAsync();

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ChangeLockAsync(ImageLock.Writer));
        Assert.Equal((BlockErrorKind.Conflict, PathOf("file")), (error.Kind, error.Path));
        await (await OpenAsync(writable: true, imageLock: ImageLock.Writer)).DisposeAsync();
    });
}
