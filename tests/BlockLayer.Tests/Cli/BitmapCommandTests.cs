using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class BitmapCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    [Fact]
    public async Task A_bitmap_is_added_shows_what_was_written_and_is_removed()
    {
        await CreateAsync("a.qcow2");
        Assert.Equal("", await _blk.SucceedAsync("bitmap", "add", "@a.qcow2", "daily"));
        Assert.Equal("", await _blk.SucceedAsync("bitmap", "add", "-g", "4K", "--disabled", "@a.qcow2", "fine"));
        Assert.Equal(
            "Granularity  Flags         Name\n64 KiB       auto          daily\n4 KiB                      fine\n", await _blk.SucceedAsync("bitmap", "list", "@a.qcow2"));
        Assert.Equal("[]\n", await _blk.SucceedAsync("bitmap", "show", "--output", "json", "@a.qcow2", "daily"));

        await WriteAsync("a.qcow2", 100_000, 1000);

        Assert.Equal("Offset          Length\n0x10000         0x10000\n", await _blk.SucceedAsync("bitmap", "show", "@a.qcow2", "daily"));
        Assert.Equal(
            "[{ \"start\": 65536, \"length\": 65536, \"dirty\": true}]\n", await _blk.SucceedAsync("bitmap", "show", "--output", "json", "@a.qcow2", "daily"));
        Assert.Equal("Offset          Length\n", await _blk.SucceedAsync("bitmap", "show", "@a.qcow2", "fine"));
        await _blk.SucceedAsync("bitmap", "remove", "@a.qcow2", "fine");
        await _blk.SucceedAsync("bitmap", "remove", "@a.qcow2", "daily");
        Assert.Equal("[]\n", await _blk.SucceedAsync("bitmap", "list", "--output", "json", "@a.qcow2"));
        await _blk.SucceedAsync("check", "@a.qcow2");
    }

    [Fact]
    public async Task Info_lists_bitmaps_as_QEMU_does()
    {
        await CreateAsync("a.qcow2");
        await _blk.SucceedAsync("bitmap", "add", "@a.qcow2", "daily");
        const string Text = """
                bitmaps:
                    [0]:
                        flags:
                            [0]: auto
                        name: daily
                        granularity: 65536

            """;
        Assert.Contains(Text, await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
        const string Json = """
                        "bitmaps": [
                            {
                                "flags": [
                                    "auto"
                                ],
                                "name": "daily",
                                "granularity": 65536
                            }
                        ],
            """;
        Assert.Contains(Json, await _blk.SucceedAsync("info", "--output", "json", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bits_are_cleared_frozen_and_taken_over_from_another_image()
    {
        await CreateAsync("a.qcow2");
        await CreateAsync("b.qcow2");
        await _blk.SucceedAsync("bitmap", "add", "@a.qcow2", "x");
        await _blk.SucceedAsync("bitmap", "add", "-g", "8K", "@b.qcow2", "y");
        await WriteAsync("a.qcow2", 0, 1);
        await WriteAsync("b.qcow2", 1 << 20, 1);

        await _blk.SucceedAsync("bitmap", "merge", "-b", "@b.qcow2", "-F", "qcow2", "@a.qcow2", "x", "y");
        Assert.Equal("Offset          Length\n0x0             0x10000\n0x100000        0x10000\n", await _blk.SucceedAsync("bitmap", "show", "@a.qcow2", "x"));

        await _blk.SucceedAsync("bitmap", "clear", "@a.qcow2", "x");
        await _blk.SucceedAsync("bitmap", "disable", "@a.qcow2", "x");
        await WriteAsync("a.qcow2", 0, 1);
        Assert.Equal("Offset          Length\n", await _blk.SucceedAsync("bitmap", "show", "@a.qcow2", "x"));
        await _blk.SucceedAsync("bitmap", "enable", "@a.qcow2", "x");
        await WriteAsync("a.qcow2", 0, 1);
        Assert.Equal("Offset          Length\n0x0             0x10000\n", await _blk.SucceedAsync("bitmap", "show", "@a.qcow2", "x"));
    }

    [Theory]
    [InlineData("bitmap fold @a.qcow2 x", "blk bitmap: there is no 'fold'; it can list, show, add, remove, clear, enable, disable and merge. See blk help bitmap.\n")]
    [InlineData("bitmap add @a.qcow2", "blk bitmap: add takes 2 operands (FILE NAME), not 1. See blk help bitmap.\n")]
    [InlineData("bitmap list @a.qcow2 x", "blk bitmap: list takes 1 operand (FILE), not 2. See blk help bitmap.\n")]
    [InlineData("bitmap merge @a.qcow2 x", "blk bitmap: merge takes 3 operands (FILE NAME SOURCE), not 2. See blk help bitmap.\n")]
    [InlineData("bitmap add -g 5K @a.qcow2 x", "blk bitmap: A bitmap's granularity is a power of two from 512 to 2147483648, not 5120. See blk help bitmap.\n")]
    [InlineData("bitmap clear @a.qcow2 x", "blk: @a.qcow2: '@a.qcow2' has no bitmap 'x'.\n")]
    [InlineData("bitmap add @a.qcow2 there", "blk: @a.qcow2: '@a.qcow2' has a bitmap 'there' already.\n")]
    [InlineData("bitmap add -f raw @a.raw x", "blk: @a.raw: Format raw stores no bitmaps; qcow2 does.\n")]
    public async Task What_cannot_be_done_is_said(string arguments, string error)
    {
        await CreateAsync("a.qcow2");
        await _blk.SucceedAsync("bitmap", "add", "@a.qcow2", "there");
        await _blk.SucceedAsync("create", "-f", "raw", "@a.raw", "1M");

        BlkRun.Outcome outcome = await _blk.RunAsync(arguments.Split(' '));

        Assert.Equal((ExitCode.Failure, error), (outcome.Code, outcome.Error));
    }

    public void Dispose() => _blk.Dispose();

    private Task CreateAsync(string name) => _blk.SucceedAsync("create", "-f", "qcow2", "@" + name, "4M");

    private async Task WriteAsync(string name, long offset, int length)
    {
        await using Disk disk = await Disk.OpenAsync(_blk.Folder.File(name), new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });
        await disk.WriteAsync(offset, Pattern.Of(offset, length, writer: 1));
    }
}
