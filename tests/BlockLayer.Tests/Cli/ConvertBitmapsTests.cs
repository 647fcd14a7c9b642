using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary><c>blk convert --bitmaps</c>: the copies say what the originals say, and nothing is replaced for a copy that cannot be made.</summary>
public sealed class ConvertBitmapsTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task Bitmaps_go_with_the_content_as_they_are()
    {
        await CreateAsync();
        await _blk.SucceedAsync("convert", "-f", "qcow2", "-O", "qcow2", "-o", "cluster_size=4k", "--bitmaps", "@a", "@b");

        Assert.Equal(
            "Granularity  Flags         Name\n64 KiB       auto          daily\n4 KiB                      fine\n", await _blk.SucceedAsync("bitmap", "list", "@b"));
        foreach (string name in (string[])["daily", "fine"])
        {
            Assert.Equal(await _blk.SucceedAsync("bitmap", "show", "@a", name), await _blk.SucceedAsync("bitmap", "show", "@b", name));
        }

        Assert.Equal("Offset          Length\n0x10000         0x10000\n", await _blk.SucceedAsync("bitmap", "show", "@b", "daily")); // and not what the copy wrote
        await _blk.SucceedAsync("compare", "-f", "qcow2", "-F", "qcow2", "@a", "@b");
        await _blk.SucceedAsync("check", "@b");
    }

    [Fact]
    public async Task One_that_cannot_be_used_stops_the_copy_or_is_left_out()
    {
        await CreateAsync();
        await _blk.SucceedAsync("bitmap", "disable", "@a", "daily");
        byte[] crashed;
        await using (BlockNode node = await OpenAsync())
        {
            await ImageBitmaps.EnableAsync(node, "fine");
            await node.WriteAsync(0, new byte[] { 1 });
            crashed = await File.ReadAllBytesAsync(_blk.Folder.File("a")); // "fine" is in use, for ever
        }

        await File.WriteAllBytesAsync(_blk.Folder.File("a"), crashed);
        await File.WriteAllTextAsync(_blk.Folder.File("b"), "precious");

        BlkRun.Outcome refused = await _blk.RunAsync("convert", "-f", "qcow2", "-O", "qcow2", "--bitmaps", "@a", "@b");
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.Contains("Bitmap 'fine' of '@a' cannot be used: it was in use when its writer stopped", refused.Error, StringComparison.Ordinal);
        Assert.Equal("precious", await File.ReadAllTextAsync(_blk.Folder.File("b")));

        BlkRun.Outcome partly = await _blk.RunAsync("convert", "-f", "qcow2", "-O", "qcow2", "--bitmaps", "--skip-broken-bitmaps", "@a", "@b");
        Assert.Equal((ExitCode.Success, "blk convert: bitmap 'fine' of @a cannot be used and was left out.\n"), (partly.Code, partly.Error));
        Assert.Equal("Granularity  Flags         Name\n64 KiB                     daily\n", await _blk.SucceedAsync("bitmap", "list", "@b"));
    }

    [Theory]
    [InlineData("Format raw stores no bitmaps; qcow2 does.", "-f", "qcow2", "-O", "raw", "--bitmaps", "@a", "@b")]
    [InlineData("Format raw stores no bitmaps, so there are none to copy.", "-f", "raw", "-O", "qcow2", "--bitmaps", "@a", "@b")]
    [InlineData("It has a bitmap 'daily' already.", "-f", "qcow2", "-O", "qcow2", "-n", "--bitmaps", "@a", "@twin")]
    [InlineData("It has 2097152 bytes, and the bitmaps of the source describe 1048576.", "-f", "qcow2", "-O", "qcow2", "-n", "--bitmaps", "@a", "@long")]
    [InlineData("--skip-broken-bitmaps goes with --bitmaps.", "-f", "qcow2", "-O", "qcow2", "--skip-broken-bitmaps", "@a", "@b")]
    [InlineData("--bitmaps does not go with -l", "-f", "qcow2", "-l", "s", "-O", "qcow2", "--bitmaps", "@a", "@b")]
    public async Task What_cannot_be_copied_is_refused_before_anything_is_written(string why, params string[] arguments)
    {
        await CreateAsync();
        await _blk.SucceedAsync("create", "-f", "qcow2", "@twin", "1M");
        await _blk.SucceedAsync("bitmap", "add", "@twin", "daily");
        await _blk.SucceedAsync("create", "-f", "qcow2", "@long", "2M");
        await File.WriteAllTextAsync(_blk.Folder.File("b"), "precious");
        byte[][] before = [.. Files().Select(File.ReadAllBytes)];

        BlkRun.Outcome refused = await _blk.RunAsync(["convert", .. arguments]);

        Assert.NotEqual(ExitCode.Success, refused.Code);
        Assert.Contains(why, refused.Error, StringComparison.Ordinal);
        Assert.Equal(before, Files().Select(File.ReadAllBytes));
    }

    private string[] Files() => [.. ((string[])["a", "b", "twin", "long"]).Select(_blk.Folder.File)];

    private async Task CreateAsync()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@a", "1M");
        await using (BlockNode plain = await OpenAsync())
        {
            await plain.WriteAsync(500_000, new byte[100_000]);
        }

        await _blk.SucceedAsync("bitmap", "add", "@a", "daily");
        await _blk.SucceedAsync("bitmap", "add", "-g", "4K", "@a", "fine");
        await using (BlockNode node = await OpenAsync())
        {
            await node.WriteAsync(100_000, new byte[] { 1, 2, 3 });
        }

        await _blk.SucceedAsync("bitmap", "disable", "@a", "fine");
    }

    private ValueTask<BlockNode> OpenAsync()
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(_blk.Folder.File("a"), new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });
}
