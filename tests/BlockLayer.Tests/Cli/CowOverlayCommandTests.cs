using BlockLayer.Cli;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>add-cow overlays on the command line, in real files.</summary>
public sealed class CowOverlayCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    [Fact]
    public async Task An_overlay_is_created_described_filled_and_ends_as_a_raw_disk()
    {
        byte[] content = Pattern.Of(0, 300_000, writer: 1);
        await WriteAsync("base.img", content);
        Assert.Equal(
            "Created @top.cow: add-cow, 292.97 KiB (300000 bytes), an overlay on 'base.img' (raw).\n",
            await _blk.SucceedAsync("create", "-f", "add-cow", "-b", "base.img", "-F", "raw", "-o", "image_file=top.img", "@top.cow"));
        string info = await _blk.SucceedAsync("info", "--backing-chain", "@top.cow");
        Assert.Contains("file format: add-cow\nvirtual size: 292.97 KiB (300000 bytes)\n", info, StringComparison.Ordinal);
        Assert.Contains("    image file: top.img\n    image file format: raw\n    all allocated: false\n    base recorded: true\n", info, StringComparison.Ordinal);
        Assert.Contains("No errors were found on the image.\n0/5 = 0.00% allocated", await _blk.SucceedAsync("check", "@top.cow"), StringComparison.Ordinal);

        Assert.EndsWith("The chain is now @top.cow.\n", await _blk.SucceedAsync("pull", "@top.cow"), StringComparison.Ordinal);
        File.Delete(_blk.Folder.File("base.img"));
        Assert.Contains("all allocated: true", await _blk.SucceedAsync("info", "@top.cow"), StringComparison.Ordinal);
        await _blk.SucceedAsync("compare", "-F", "raw", "@top.cow", "@top.img");
        Assert.Equal(content, await File.ReadAllBytesAsync(_blk.Folder.File("top.img")));
    }

    [Fact]
    public async Task A_replaced_base_is_told_in_one_line()
    {
        await WriteAsync("base.img", Pattern.Of(0, 65_536, writer: 1));
        await _blk.SucceedAsync("create", "-f", "add-cow", "-b", "base.img", "-F", "raw", "-o", "image_file=top.img,cluster_size=4k", "@top.cow");
        await WriteAsync("base.img", Pattern.Of(0, 65_536, writer: 2));
        BlkRun.Outcome outcome = await _blk.RunAsync("map", "@top.cow");
        Assert.Equal(
            "blk: @top.cow: '@base.img' is not the backing file that '@top.cow' was written over: its content is another. Put the original back; "
            + "clusters that were never written to the overlay exist nowhere else.\n",
            outcome.Error);
    }

    [Theory]
    [InlineData("Format add-cow needs image_file, the name of the raw file that is to hold the data.", "cluster_size=64k")]
    [InlineData("cluster_size is 512; add-cow overlays have a power of two from 4096 to 2097152.", "image_file=top.img,cluster_size=512")]
    [InlineData("Format add-cow has no option 'size'; it has image_file and cluster_size.", "size=1")]
    public async Task An_option_that_is_wrong_is_told_and_nothing_is_created(string message, string options)
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("create", "-f", "add-cow", "-o", options, "@top.cow", "1M");
        Assert.Equal($"blk create: {message} See blk help create.\n", outcome.Error);
        Assert.Empty(Directory.EnumerateFiles(_blk.Folder.Path));
    }

    [Theory]
    [InlineData("'@other.img' exists and holds data, and would be emptied to be the image file. Remove it, or choose another name.", "base.img", "other.img")]
    [InlineData("'@link.img' exists and holds data, and would be emptied to be the image file. Remove it, or choose another name.", "base.img", "link.img")]
    [InlineData("'base.img' would be the image file and the backing file, which writes would overwrite.", "base.img", "base.img")]
    [InlineData("Its data file '@./empty.img' would be the image itself or a file below it.", "empty.img", "./empty.img")]
    [InlineData("'@./top.cow' exists and holds data, and would be emptied to be the image file. Remove it, or choose another name.", "base.img", "./top.cow")]
    public async Task A_file_that_holds_something_does_not_become_an_image_file_and_the_old_overlay_stays(string message, string backing, string image)
    {
        byte[] content = Pattern.Of(0, 65_536, writer: 1);
        await WriteAsync("base.img", content);
        await WriteAsync("other.img", content);
        await WriteAsync("empty.img", []);
        await WriteAsync("top.cow", [1, 2, 3]);
        File.CreateSymbolicLink(_blk.Folder.File("link.img"), _blk.Folder.File("base.img"));
        BlkRun.Outcome outcome = await _blk.RunAsync("create", "-f", "add-cow", "-b", backing, "-F", "raw", "-o", $"image_file={image}", "@top.cow");
        Assert.Equal((ExitCode.Failure, $"blk: @top.cow: {message}\n"), (outcome.Code, outcome.Error));
        Assert.Equal(content, await File.ReadAllBytesAsync(_blk.Folder.File("base.img")));
        Assert.Equal([1, 2, 3], await File.ReadAllBytesAsync(_blk.Folder.File("top.cow")));
    }

    [Fact]
    public async Task A_conversion_writes_both_files_and_leaves_neither_when_it_fails()
    {
        byte[] content = Pattern.Of(0, 65_536, writer: 1);
        await WriteAsync("disk.img", content);
        await _blk.SucceedAsync("convert", "-f", "raw", "-O", "add-cow", "-o", "image_file=copy.img", "@disk.img", "@copy.cow");
        Assert.Equal(content, await File.ReadAllBytesAsync(_blk.Folder.File("copy.img")));
        await _blk.SucceedAsync("compare", "-F", "raw", "@copy.cow", "@disk.img");

        BlkRun.Outcome outcome = await _blk.RunAsync("convert", "-c", "-f", "raw", "-O", "add-cow", "-o", "image_file=more.img", "@disk.img", "@more.cow");
        Assert.NotEqual(ExitCode.Success, outcome.Code);
        Assert.Equal(["copy.cow", "copy.img", "disk.img"], Directory.EnumerateFiles(_blk.Folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task An_inspection_tells_both_names_and_opens_neither()
    {
        await WriteAsync("base.img", Pattern.Of(0, 65_536, writer: 1));
        await _blk.SucceedAsync("create", "-f", "add-cow", "-b", "base.img", "-F", "raw", "-o", "image_file=top.img", "@top.cow");
        File.Delete(_blk.Folder.File("base.img"));
        File.Delete(_blk.Folder.File("top.img"));
        BlkRun.Outcome outcome = await _blk.RunAsync("inspect", "@top.cow");
        Assert.Contains("It names 'top.img' (raw) as its image file, which holds the data and is written.", outcome.Out, StringComparison.Ordinal);
        Assert.Contains("It names 'base.img' as its backing file (raw).", outcome.Out, StringComparison.Ordinal);
        Assert.NotEqual(ExitCode.Success, outcome.Code);
    }

    public void Dispose() => _blk.Dispose();

    private Task WriteAsync(string name, byte[] content) => File.WriteAllBytesAsync(_blk.Folder.File(name), content);
}
