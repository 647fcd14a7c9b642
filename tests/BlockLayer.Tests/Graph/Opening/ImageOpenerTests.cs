using BlockLayer.Errors;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>The one door, over files in memory. After every test nothing is open, whatever failed.</summary>
public sealed class ImageOpenerTests : IDisposable
{
    private static readonly OpenPolicy s_probing = OpenPolicy.Default with { Name = "Probing", Probing = ProbingPolicy.AllByMagic };

    private readonly WatchedFiles _files = new(new MemoryStorageProvider());
    private readonly BlockEnvironment _environment;
    private readonly ImageOpener _opener;

    public ImageOpenerTests()
    {
        _environment = TestEnvironment.Inline() with { Files = _files };
        _opener = new ImageOpener(new FormatRegistry(new LinkFormat(), RawFormat.Instance), _environment);
    }

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }

    [Fact]
    public async Task A_chain_is_opened_from_the_top_to_the_image_without_a_backing_file()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/middle", "base");
        await WriteAsync("d/top", "./middle");
        await using BlockNode top = await OpenAsync("d/top");
        Assert.Equal(["d/top", "d/./middle", "d/./base"], BackingChain.Images(top).Select(image => image.NodeName));
        Assert.Equal(3, _files.Open);
    }

    [Fact]
    public async Task Without_its_backing_file_an_image_is_opened_alone()
    {
        await WriteAsync("d/top", "missing");
        await using BlockNode top = await _opener.OpenAsync("d/top", new ImageOpenOptions { Format = "link", Backing = BackingMode.Ignore });
        Assert.Null(top.Backing);
    }

    [Fact]
    public async Task A_name_is_relative_to_the_file_that_holds_it()
    {
        await WriteAsync("d/sub/deep/base");
        await WriteAsync("d/sub/middle", "deep/base");
        await WriteAsync("d/top", "sub/middle");
        await using BlockNode top = await OpenAsync("d/top");
        Assert.Equal("d/sub/deep/base", BackingChain.Images(top).Last().NodeName);
    }

    [Theory]
    [InlineData("../outside", "It lies in '/', outside '/d'; allow that directory to open it.")]
    [InlineData("/outside", "It lies in '/', outside '/d'; allow that directory to open it.")]
    [InlineData("sub/../../outside", "It lies in '/', outside '/d'; allow that directory to open it.")]
    [InlineData("/dd/image", "It lies in '/dd', outside '/d'; allow that directory to open it.")]
    [InlineData("/missing/also", "It lies in '/missing', outside '/d'; allow that directory to open it.")]
    [InlineData("sub", "'d/sub' is not a regular file.")]
    [InlineData("nbd://host/export", "Only plain file names are opened, no 'nbd:' references.")]
    [InlineData("json:{\"driver\":\"file\"}", "Only plain file names are opened, no 'json:' references.")]
    [InlineData("file:base", "Only plain file names are opened, no 'file:' references.")]
    [InlineData("c:\\base", "Only plain file names are opened, no 'c:' references.")]
    [InlineData("fat:/", "Only plain file names are opened, no 'fat:' references.")]
    public async Task The_default_policy_refuses_what_lies_elsewhere_or_is_no_file(string name, string why)
    {
        await WriteAsync("outside");
        await WriteAsync("dd/image");
        await WriteAsync("d/sub/image");
        await WriteAsync("d/base");
        await WriteAsync("d/top", name);

        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/top"));

        Assert.Equal($"'d/top' names '{name}' (link) as its backing file, which was not opened. {why}", denied.Message);
        Assert.Equal((BlockErrorKind.Denied, "Default", name, "d/top"), (denied.Kind, denied.Policy, denied.Reference, denied.Path));
        Assert.Equal(["d/top"], _files.Opened.TakeLast(1));
    }

    [Fact]
    public async Task A_colon_behind_a_slash_is_part_of_a_plain_name()
    {
        await WriteAsync("d/a:b");
        await WriteAsync("d/top", "./a:b");
        await using BlockNode top = await OpenAsync("d/top");
        Assert.NotNull(top.Backing);
    }

    [Fact]
    public async Task An_allowed_root_is_one_with_all_below_it()
    {
        await WriteAsync("bases/ubuntu/base");
        await WriteAsync("d/top", "/bases/ubuntu/base");
        await using BlockNode top = await OpenAsync("d/top", OpenPolicy.Default with { AllowedRoots = ["/bases/"] });
        Assert.NotNull(top.Backing);
    }

    [Fact]
    public async Task The_untrusting_policy_opens_no_backing_file()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base");
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/top", OpenPolicy.Untrusted));
        Assert.Equal("'d/top' names 'base' (link) as its backing file, which was not opened. The policy Untrusted opens no backing files.", denied.Message);
    }

    [Theory]
    [InlineData("file:/outside")]
    [InlineData("/outside")]
    [InlineData("../outside")]
    public async Task The_policy_of_qemu_opens_any_file(string name)
    {
        await WriteAsync("outside");
        await WriteAsync("d/top", name, format: "");
        await using BlockNode top = await OpenAsync("d/top", OpenPolicy.QemuCompatible);
        Assert.NotNull(top.Backing);
        await WriteAsync("d/remote", "nbd://host/export");
        await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/remote", OpenPolicy.QemuCompatible));
    }

    [Fact]
    public async Task A_missing_backing_file_is_told_with_who_names_it_and_where_it_was_looked_for()
    {
        await WriteAsync("d/top", "gone/base");
        BlockLayerException missing = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal((BlockErrorKind.NotFound, "d/gone/base"), (missing.Kind, missing.Path));
        Assert.Equal("The backing file 'gone/base' (link) of 'd/top' does not exist at 'd/gone/base'.", missing.Message);
    }

    [Fact]
    public async Task A_missing_image_is_not_found()
    {
        BlockLayerException missing = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/none"));
        Assert.Equal((BlockErrorKind.NotFound, "d/none"), (missing.Kind, missing.Path));
    }

    [Fact]
    public async Task A_name_with_a_NUL_is_no_name_of_a_file()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base\0/../../outside");
        BlockLayerException invalid = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal((BlockErrorKind.InvalidFormat, "d/top"), (invalid.Kind, invalid.Path));
    }

    [Theory]
    [InlineData("top", "'d/top' is its own backing file.")]
    [InlineData("./sub/../top", "'d/./sub/../top' is its own backing file.")]
    public async Task An_image_is_not_its_own_backing_file(string name, string message)
    {
        await WriteAsync("d/sub/x");
        await WriteAsync("d/top", name);
        BlockLayerException loop = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal((BlockErrorKind.InvalidFormat, message), (loop.Kind, loop.Message));
    }

    [Fact]
    public async Task A_chain_that_loops_is_refused()
    {
        await WriteAsync("d/c", "b");
        await WriteAsync("d/b", "a");
        await WriteAsync("d/a", "c");
        BlockLayerException loop = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/a"));
        Assert.Equal((BlockErrorKind.InvalidFormat, "d/a"), (loop.Kind, loop.Path));
        Assert.Equal("'d/a' is a backing file of itself: the chain loops.", loop.Message);
    }

    [Fact]
    public async Task A_chain_is_as_long_as_the_policy_allows()
    {
        await WriteAsync("d/0");
        for (int i = 1; i < 300; i++)
        {
            await WriteAsync($"d/{i}", $"{i - 1}");
        }

        BlockLayerException tooLong = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/299"));
        Assert.Equal(BlockErrorKind.InvalidFormat, tooLong.Kind);
        Assert.Equal("The backing chain is longer than 256 images, the most that the policy Default opens.", tooLong.Message);
        Assert.Equal(0, _files.Open);

        await using BlockNode top = await OpenAsync("d/299", OpenPolicy.Default with { MaxChainLength = 300 });
        Assert.Equal(299, BackingChain.Depth(top));
        await top.ReadAsync(0, new byte[LinkFormat.DiskLength]);
        Assert.Equal(StatusFlags.Zero, (await top.GetStatusAsync(0, LinkFormat.DiskLength, StatusDepth.Chain)).Flags);
    }

    [Fact]
    public async Task A_format_that_is_not_recorded_is_guessed_only_if_the_policy_allows_it()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base", format: "");
        _files.Opened.Clear();
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/top"));
        Assert.Equal(
            "'d/top' names 'base' as its backing file, which was not opened. Its format is not recorded, and the policy Default does not allow to guess it; record it in the overlay.",
            denied.Message);
        Assert.Equal(["d/top"], _files.Opened); // not even to look at it

        await using BlockNode top = await OpenAsync("d/top", s_probing);
        Assert.Equal("link", top.Backing?.DriverName);
    }

    [Fact]
    public async Task A_format_that_the_image_leaves_to_the_magic_is_recognised_under_any_policy_but_never_raw()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base", format: "?");
        await using (BlockNode top = await OpenAsync("d/top"))
        {
            Assert.Equal("link", top.Backing?.DriverName);
        }

        await WriteRawAsync("d/base", 100);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top", OpenPolicy.QemuCompatible));
        Assert.Equal((BlockErrorKind.InvalidFormat, "d/base"), (refused.Kind, refused.Path));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(4096)]
    public async Task Raw_is_guessed_only_by_the_policy_of_qemu(int length)
    {
        await WriteRawAsync("d/disk", length);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await _opener.OpenAsync("d/disk", new ImageOpenOptions()));
        Assert.Equal((BlockErrorKind.InvalidFormat, "d/disk"), (refused.Kind, refused.Path));
        await using BlockNode raw = await _opener.OpenAsync("d/disk", new ImageOpenOptions { Policy = OpenPolicy.QemuCompatible });
        Assert.Equal(("raw", length), (raw.DriverName, (int)raw.Length));
    }

    [Fact]
    public async Task Where_nothing_may_be_recognised_the_format_has_to_be_given()
    {
        await WriteAsync("d/top");
        _files.Opened.Clear();
        OpenPolicy strict = OpenPolicy.Default with { Name = "Strict", Probing = ProbingPolicy.Never };
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(
            async () => await _opener.OpenAsync("d/top", new ImageOpenOptions { Policy = strict }));
        Assert.Equal("The format of 'd/top' is not given, and the policy Strict does not allow to guess it; give the format.", denied.Message);
        Assert.Empty(_files.Opened);
        await using BlockNode top = await OpenAsync("d/top", strict);
    }

    [Fact]
    public async Task A_damaged_image_is_told_with_its_path_and_closed()
    {
        await WriteAsync("d/top", "!", format: "");
        ImageFormatException damaged = await Assert.ThrowsAsync<ImageFormatException>(async () => await OpenAsync("d/top"));
        Assert.Equal(("link", "d/top", "link is damaged at byte 0; expected is whole."), (damaged.Field, damaged.Path, damaged.Message));
    }

    [Fact]
    public async Task A_damaged_backing_file_is_told_with_who_names_it()
    {
        await WriteAsync("d/base", "!", format: "");
        await WriteAsync("d/top", "base");
        BlockLayerException damaged = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal("The backing file 'd/base' of 'd/top' cannot be opened: link is damaged at byte 0; expected is whole.", damaged.Message);
        Assert.Equal((BlockErrorKind.InvalidFormat, "d/base"), (damaged.Kind, damaged.Path));
        Assert.Equal("link", Assert.IsType<ImageFormatException>(damaged.InnerException).Field);
    }

    [Fact]
    public async Task An_unknown_format_is_refused_before_the_file_is_opened()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base", format: "vmdk");
        BlockLayerException unknown = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal((BlockErrorKind.Unsupported, "d/base"), (unknown.Kind, unknown.Path));
        Assert.Equal("The backing file 'd/base' of 'd/top' cannot be opened: 'vmdk' is no known image format; known are link, raw.", unknown.Message);
    }

    [Fact]
    public async Task After_a_failure_anywhere_in_the_chain_no_lock_is_left()
    {
        await WriteAsync("d/base", "!", format: "");
        await WriteAsync("d/middle", "base");
        await WriteAsync("d/top", "middle");
        var writing = new ImageOpenOptions { Format = "link", Access = NodeAccess.ReadWrite };
        await Assert.ThrowsAsync<BlockLayerException>(async () => await _opener.OpenAsync("d/top", writing));
        foreach (string path in new[] { "d/top", "d/middle", "d/base" })
        {
            var options = new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer };
            await using BlockStorage file = await _files.OpenAsync(path, options, default);
        }
    }

    [Fact]
    public async Task An_image_that_somebody_writes_is_not_opened()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base");
        await using BlockNode writer = await _opener.OpenAsync("d/base", new ImageOpenOptions { Format = "link", Access = NodeAccess.ReadWrite });
        BlockLayerException conflict = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/top"));
        Assert.Equal((BlockErrorKind.Conflict, "d/base"), (conflict.Kind, conflict.Path));
        Assert.Equal(1, _files.Open);
    }

    [Fact]
    public async Task A_cancelled_open_leaves_nothing_open()
    {
        await WriteAsync("d/base");
        await WriteAsync("d/top", "base");
        using var cancellation = new CancellationTokenSource();
        _files.AfterOpen = _ => cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await _opener.OpenAsync("d/top", new ImageOpenOptions { Format = "link" }, cancellation.Token));
        _files.AfterOpen = null;
    }

    private ValueTask<BlockNode> OpenAsync(string path, OpenPolicy? policy = null)
        => _opener.OpenAsync(path, new ImageOpenOptions { Format = "link", Policy = policy ?? OpenPolicy.Default });

    private Task WriteAsync(string path, string? backing = null, string format = "link") => LinkFormat.WriteAsync(_files, path, backing, format);

    private async Task WriteRawAsync(string path, int length)
    {
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage file = await _files.OpenAsync(path, options, default);
        await file.WriteAsync(0, Pattern.Of(0, length, 1), default);
    }
}
