using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>What local files do beyond the contract: holes, kinds of files, limits of the file system.</summary>
public sealed class LocalFileTests : IDisposable
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    private readonly TemporaryFolder _folder = new();
    private readonly LocalStorageProvider _provider = LocalFlavours.Linux();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Thread_that_is_there_to_copy_makes_large_writes_itself()
    {
        byte[] data = Pattern.Of(0, 8 << 20, 1);
        await using BlockStorage file = await CreateAsync(_folder.File("copy"));
        var writing = new TaskCompletionSource<(bool AtOnce, Task Write)>();
        ThreadPoolWorkScheduler.Instance.StartCopying(() =>
        {
            Task write = file.WriteAsync(0, data, s_none).AsTask();
            writing.SetResult((write.IsCompleted, write));
        });

        (bool atOnce, Task write) = await writing.Task;
        await write;

        Assert.True(atOnce);
        byte[] read = new byte[data.Length];
        await file.ReadAsync(0, read, s_none);
        Assert.Equal(data, read);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(LocalFlavours.MemoryFileSystem)]
    public async Task Holes_are_found_and_take_no_room(string? parent)
    {
        const int Mebi = 1 << 20;
        using var folder = new TemporaryFolder(parent);
        await using BlockStorage file = await CreateAsync(folder.File("sparse"));
        await file.WriteAsync(4 * Mebi, Pattern.Of(0, Mebi, 1), s_none);
        await file.SetLengthAsync(16 * Mebi, s_none);
        await file.FlushAsync(s_none);

        Assert.Equal(new StorageExtent(4 * Mebi, IsHole: true), await file.GetExtentAsync(0, file.Length, s_none));
        Assert.Equal(new StorageExtent(Mebi, IsHole: false), await file.GetExtentAsync(4 * Mebi, file.Length - (4 * Mebi), s_none));
        Assert.Equal(new StorageExtent(11 * Mebi, IsHole: true), await file.GetExtentAsync(5 * Mebi, 11 * Mebi, s_none));
        Assert.InRange(file.AllocatedLength!.Value, Mebi, Mebi + 65536);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(LocalFlavours.MemoryFileSystem)]
    public async Task A_full_file_is_data_up_to_its_end_until_a_page_is_given_back(string? parent)
    {
        const int Length = (1 << 20) + 5;
        const int Page = 4096;
        using var folder = new TemporaryFolder(parent);
        await using BlockStorage file = await CreateAsync(folder.File("full"));
        await file.WriteAsync(0, Pattern.Of(0, Length, 1), s_none);
        await file.FlushAsync(s_none);
        Assert.Equal(new StorageExtent(Length - Page, IsHole: false), await file.GetExtentAsync(Page, Length - Page, s_none));
        Assert.Equal(new StorageExtent(Page, IsHole: false), await file.GetExtentAsync(Page, Page, s_none));

        await file.DiscardAsync(16 * Page, Page, s_none);
        Assert.Equal(new StorageExtent(15 * Page, IsHole: false), await file.GetExtentAsync(Page, Length - Page, s_none));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(LocalFlavours.MemoryFileSystem)]
    public async Task Discard_and_unmapping_zeroes_give_room_back(string? parent)
    {
        const int Mebi = 1 << 20;
        using var folder = new TemporaryFolder(parent);
        await using BlockStorage file = await CreateAsync(folder.File("full"));
        await file.WriteAsync(0, Pattern.Of(0, 4 * Mebi, 1), s_none);
        await file.FlushAsync(s_none);
        long full = file.AllocatedLength!.Value;

        await file.DiscardAsync(0, Mebi, s_none);
        await file.WriteZeroesAsync(Mebi, Mebi, ZeroMode.MayUnmap, s_none);

        Assert.Equal(new StorageExtent(2 * Mebi, IsHole: true), await file.GetExtentAsync(0, 4 * Mebi, s_none));
        Assert.InRange(file.AllocatedLength!.Value, 1, full - (2 * Mebi));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(LocalFlavours.MemoryFileSystem)]
    public async Task Zeroes_that_keep_their_room_reserve_it(string? parent)
    {
        const int Mebi = 1 << 20;
        using var folder = new TemporaryFolder(parent);
        await using BlockStorage file = await CreateAsync(folder.File("reserved"));
        await file.WriteAsync(0, Pattern.Of(0, Mebi, 1), s_none);

        await file.WriteZeroesAsync(0, 4 * Mebi, ZeroMode.KeepAllocated, s_none);
        await file.FlushAsync(s_none);

        Assert.Equal(4 * Mebi, file.Length);
        Assert.InRange(file.AllocatedLength!.Value, 4 * Mebi, (4 * Mebi) + 65536);
    }

    [Fact]
    public async Task Copy_within_the_kernel_copies_everything()
    {
        await using BlockStorage source = await CreateAsync(_folder.File("source"));
        await using BlockStorage target = await CreateAsync(_folder.File("target"));
        byte[] bytes = Pattern.Of(0, 3_000_000, 1);
        await source.WriteAsync(0, bytes, s_none);

        long copied = await source.TryCopyToAsync(0, target, 5, bytes.Length, s_none);

        byte[] read = new byte[bytes.Length];
        await target.ReadAsync(5, read, s_none);
        Assert.Equal(bytes.Length, copied);
        Assert.Equal(bytes, read);
    }

    [Fact]
    public async Task Copy_to_a_file_open_for_reading_is_refused()
    {
        await using BlockStorage source = await CreateAsync(_folder.File("source"));
        await (await CreateAsync(_folder.File("target"))).DisposeAsync();
        await source.WriteAsync(0, new byte[10], s_none);
        await using BlockStorage target = await _provider.OpenAsync(_folder.File("target"), new StorageOpenOptions(), s_none);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await source.TryCopyToAsync(0, target, 0, 10, s_none));

        Assert.Equal(BlockErrorKind.ReadOnly, error.Kind);
    }

    // A reader would wait for a writer that never comes, if the pipe were opened the ordinary way.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pipe_is_refused_without_waiting_for_its_other_end(bool writable)
    {
        string pipe = _folder.File("pipe");
        RunOk("mkfifo", pipe);

        var error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await _provider.OpenAsync(pipe, new StorageOpenOptions { Writable = writable }, s_none));

        Assert.Equal(BlockErrorKind.Denied, error.Kind);
        Assert.Equal("The file is a pipe, socket or character device; allowed are regular files and block devices.", error.Message);
        Assert.Equal(StorageFileKind.Other, _provider.GetInfo(pipe)!.Kind);
    }

    [Fact]
    public async Task Directory_is_refused_to_a_writer()
    {
        var error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await _provider.OpenAsync(_folder.Path, new StorageOpenOptions { Writable = true }, s_none));

        Assert.Equal(BlockErrorKind.Denied, error.Kind);
    }

    [Fact]
    public async Task Character_device_can_be_opened_on_purpose()
    {
        await using BlockStorage zeroes = await _provider.OpenAsync("/dev/zero", new StorageOpenOptions { RegularOnly = false }, s_none);
        byte[] buffer = Pattern.Of(0, 100, 1);

        await zeroes.ReadAsync(0, buffer, s_none);

        Assert.Equal(new byte[100], buffer);
    }

    [Fact]
    public async Task File_cut_under_us_fails_to_read_instead_of_reading_short()
    {
        string path = _folder.File("cut");
        await using BlockStorage file = await CreateAsync(path);
        await file.WriteAsync(0, Pattern.Of(0, 10_000, 1), s_none);
        using (FileStream other = File.Open(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            other.SetLength(6_000);
        }

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ReadAsync(0, new byte[10_000], s_none));

        Assert.Equal(BlockErrorKind.Io, error.Kind);
        Assert.Equal("Read of 4000 bytes at 6000 met the end of the file, which is 6000 bytes long.", error.Message);
        Assert.Equal(6_000, error.Offset);
    }

    [Fact]
    public async Task Full_device_is_no_space()
    {
        await using BlockStorage full = await _provider.OpenAsync("/dev/full", new StorageOpenOptions { Writable = true, RegularOnly = false }, s_none);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await full.WriteAsync(512, new byte[4096], s_none));

        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        Assert.Equal("Write of 4096 bytes at 512 failed: No space left on device.", error.Message);
        Assert.Equal("/dev/full", error.Path);
        Assert.Equal(512, error.Offset);
    }

    [Fact]
    public async Task Links_lead_to_the_same_file()
    {
        await using BlockStorage file = await CreateAsync(_folder.File("file"));
        Directory.CreateDirectory(_folder.File("folder"));
        File.CreateSymbolicLink(_folder.File("link"), "folder/../file");
        RunOk("ln", _folder.File("file"), _folder.File("hard"));
        Directory.CreateSymbolicLink(_folder.File("folder-link"), _folder.File("folder"));

        Assert.Equal(file.Identity, _provider.GetInfo(_folder.File("link"))!.Identity);
        Assert.Equal(file.Identity, _provider.GetInfo(_folder.File("hard"))!.Identity);
        foreach (LocalStorageProvider provider in (LocalStorageProvider[])[_provider, LocalFlavours.Managed()])
        {
            Assert.Equal(provider.GetRealPath(_folder.File("file")), provider.GetRealPath(_folder.File("link")));
            Assert.Equal(provider.GetRealPath(_folder.File("folder/new")), provider.GetRealPath(_folder.File("folder-link/new")));
        }
    }

    [Fact]
    public void Path_through_a_missing_directory_has_no_real_path()
    {
        foreach (LocalStorageProvider provider in (LocalStorageProvider[])[_provider, LocalFlavours.Managed()])
        {
            var error = Assert.Throws<BlockLayerException>(() => provider.GetRealPath(_folder.File("missing/folder/file")));
            Assert.Equal(BlockErrorKind.NotFound, error.Kind);
        }
    }

    [Fact]
    public async Task Relative_path_is_opened_and_its_directory_flushed()
    {
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, _folder.File("relative"));

        await (await CreateAsync(relative)).DisposeAsync();
        await _provider.FlushDirectoryAsync(relative, s_none);

        Assert.Equal(_provider.GetRealPath(_folder.File("relative")), _provider.GetRealPath(relative));
    }

    private ValueTask<BlockStorage> CreateAsync(string path)
        => _provider.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none);

    private static void RunOk(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
