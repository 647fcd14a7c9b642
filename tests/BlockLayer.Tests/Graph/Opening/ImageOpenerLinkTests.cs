using System.Runtime.InteropServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>The one door over local files: links, pipes, and paths that change while they are opened.</summary>
public sealed partial class ImageOpenerLinkTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly WatchedFiles _files = new(LocalStorageProvider.Instance);
    private readonly ImageOpener _opener;

    public ImageOpenerLinkTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links and pipes are made by calls of Linux");
        _opener = new ImageOpener(new FormatRegistry(new LinkFormat()), TestEnvironment.Inline() with { Files = _files });
        Directory.CreateDirectory(_folder.File("d"));
    }

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        _folder.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_link_to_the_image_itself_is_found_by_its_file(bool symbolic)
    {
        await WriteAsync("d/top", "alias");
        if (symbolic)
        {
            File.CreateSymbolicLink(_folder.File("d/alias"), "top");
        }
        else
        {
            Assert.Equal(0, Link(_folder.File("d/top"), _folder.File("d/alias")));
        }

        BlockLayerException loop = await Assert.ThrowsAsync<BlockLayerException>(OpenTopAsync);
        Assert.Equal((BlockErrorKind.InvalidFormat, $"'{_folder.File("d/alias")}' is its own backing file."), (loop.Kind, loop.Message));
    }

    [Fact]
    public async Task A_link_out_of_the_roots_is_refused_by_where_it_leads()
    {
        await WriteAsync("outside");
        await WriteAsync("d/top", "innocent");
        File.CreateSymbolicLink(_folder.File("d/innocent"), "../outside");
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(OpenTopAsync);
        Assert.Contains($"It lies in '{RealFolder()}', outside '{RealFolder()}/d'; allow that directory to open it.", denied.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(_folder.File("d/innocent"), _files.Opened);
    }

    [Fact]
    public async Task A_linked_directory_is_a_root_by_where_it_leads()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base");
        Directory.CreateSymbolicLink(_folder.File("other"), "d");
        await using BlockNode top = await _opener.OpenAsync(_folder.File("other/top"), new ImageOpenOptions { Format = "link" });
        Assert.NotNull(top.Backing);
    }

    [Fact]
    public async Task A_pipe_is_neither_opened_nor_waited_for()
    {
        Assert.Equal(0, MakeFifo(_folder.File("d/pipe"), 0b110_110_110));
        await WriteAsync("d/top", "pipe");
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(OpenTopAsync);
        Assert.EndsWith("is not a regular file.", denied.Message, StringComparison.Ordinal);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await _opener.OpenAsync(_folder.File("d/pipe"), new ImageOpenOptions { Format = "link" }));
        Assert.Equal(BlockErrorKind.Denied, refused.Kind);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_link_that_is_swapped_while_it_is_opened_is_refused(bool swappedBack)
    {
        await WriteAsync("outside");
        await WriteAsync("d/good");
        await WriteAsync("d/top", "base");
        Point("good");
        _files.BeforeOpen = path => PointIfBase(path, "../outside");
        _files.AfterOpen = path => PointIfBase(path, swappedBack ? "good" : "../outside");

        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(OpenTopAsync);

        Assert.Equal(
            $"'{_folder.File("d/base")}' was replaced while it was opened; the policy Default cannot tell where its file lies.", denied.Message);

        void PointIfBase(string path, string target)
        {
            if (path.EndsWith("/base", StringComparison.Ordinal))
            {
                Point(target);
            }
        }

        void Point(string target)
        {
            File.Delete(_folder.File("d/base"));
            File.CreateSymbolicLink(_folder.File("d/base"), target);
        }
    }

    [Theory]
    [InlineData("missing/../../outside")]
    [InlineData("nowhere")]
    public async Task A_name_that_leads_nowhere_is_not_found(string name)
    {
        await WriteAsync("outside");
        File.CreateSymbolicLink(_folder.File("d/nowhere"), "gone");
        await WriteAsync("d/top", name);
        BlockLayerException missing = await Assert.ThrowsAsync<BlockLayerException>(OpenTopAsync);
        Assert.Equal((BlockErrorKind.NotFound, Path.Combine(_folder.File("d"), name)), (missing.Kind, missing.Path));
    }

    [Fact]
    public async Task A_link_that_leads_to_itself_or_a_name_beyond_all_limits_is_an_error_of_ours()
    {
        File.CreateSymbolicLink(_folder.File("d/loop"), "loop");
        await WriteAsync("d/top", "loop");
        await Assert.ThrowsAnyAsync<BlockLayerException>(OpenTopAsync);
        await WriteAsync("d/top", new string('a', 300));
        await Assert.ThrowsAnyAsync<BlockLayerException>(OpenTopAsync);
        await WriteAsync("d/top", "top/below");
        await Assert.ThrowsAnyAsync<BlockLayerException>(OpenTopAsync);
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string path, string newPath);

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MakeFifo(string path, uint mode);

    private string RealFolder() => LocalStorageProvider.Instance.GetRealPath(_folder.Path);

    private async Task OpenTopAsync()
    {
        await using BlockNode top = await _opener.OpenAsync(_folder.File("d/top"), new ImageOpenOptions { Format = "link" });
    }

    private Task WriteAsync(string path, string? backing = null) => LinkFormat.WriteAsync(LocalStorageProvider.Instance, _folder.File(path), backing);
}
