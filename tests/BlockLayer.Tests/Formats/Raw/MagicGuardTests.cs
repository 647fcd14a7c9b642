using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Raw;

/// <summary>
/// A guest that writes a header into its raw disk, to have the next guess read another file for it (CVE-2008-2004 and those after it). Each test ends with the
/// file still being guessed raw.
/// </summary>
public sealed class MagicGuardTests
{
    private static readonly byte[] s_qcow2 = [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3];
    private static readonly byte[] s_qed = [0x51, 0x45, 0x44, 0];

    private readonly MeteredFiles _files = new();
    private readonly BlockEnvironment _environment;

    public MagicGuardTests()
    {
        _environment = TestEnvironment.Inline() with { Files = _files };
        _files.Put("disk", new byte[4096]);
    }

    [Fact]
    public async Task A_write_of_a_magic_is_refused_and_writes_nothing()
    {
        await using BlockNode disk = await OpenAsync(format: null);
        BlockLayerException refused = await AssertRefusedAsync(() => disk.WriteAsync(0, s_qcow2));
        Assert.Equal(
            "This write would make the raw disk start as a qcow2 image does, and its format was guessed: the next guess would open it as qcow2. "
            + "Give the format (raw) when opening it to allow such writes.",
            refused.Message);
        await AssertRefusedAsync(() => disk.WriteAsync(0, (byte[])[.. s_qed, .. new byte[4092]]));
        await AssertStillRawAsync();
        Assert.Equal(new byte[4096], _files.Get("disk"));
    }

    [Fact]
    public async Task A_magic_written_byte_by_byte_in_any_order_is_refused_at_its_last_byte()
    {
        await using BlockNode disk = await OpenAsync(format: null);
        int[] order = [5, 7, 1, 3, 0, 2];
        foreach (int at in order[..^1])
        {
            await disk.WriteAsync(at, s_qcow2.AsMemory(at, 1));
        }

        await AssertRefusedAsync(() => disk.WriteAsync(order[^1], s_qcow2.AsMemory(order[^1], 1)));
        await AssertStillRawAsync();
    }

    [Fact]
    public async Task Writes_at_the_same_time_cannot_make_a_magic_together()
    {
        await using BlockNode disk = await OpenAsync(format: null);
        ValueTask[] halves = [disk.WriteAsync(0, s_qcow2.AsMemory(0, 4)), disk.WriteAsync(4, s_qcow2.AsMemory(4, 4))];
        int refused = 0;
        foreach (ValueTask half in halves)
        {
            try
            {
                await half;
            }
            catch (BlockLayerException error) when (error.Kind == BlockErrorKind.Denied)
            {
                refused++;
            }
        }

        Assert.Equal(1, refused);
        await AssertStillRawAsync();
    }

    [Fact]
    public async Task Zeroes_and_discards_that_complete_a_magic_are_refused()
    {
        await using BlockNode disk = await OpenAsync(format: null);
        await disk.WriteAsync(0, new byte[] { 0x51, 0x45, 0x44, 1 });
        await AssertRefusedAsync(() => disk.WriteZeroesAsync(3, 1));
        await AssertRefusedAsync(() => disk.WriteZeroesAsync(3, 4000));
        await AssertRefusedAsync(() => disk.DiscardAsync(3, 4000));
        await disk.WriteZeroesAsync(0, 4096);
        await disk.DiscardAsync(0, 4096);
        await AssertStillRawAsync();
    }

    [Fact]
    public async Task Everything_else_is_written_as_ever()
    {
        await using (BlockNode disk = await OpenAsync(format: null))
        {
            await disk.WriteAsync(0, Pattern.Of(0, 4096, writer: 1));
            await disk.WriteAsync(512, s_qcow2);
        }

        byte[] expected = Pattern.Of(0, 4096, writer: 1);
        s_qcow2.CopyTo(expected, 512);
        Assert.Equal(expected, _files.Get("disk"));
    }

    [Fact]
    public async Task Who_says_raw_may_write_anything()
    {
        await using (BlockNode disk = await OpenAsync("raw"))
        {
            await disk.WriteAsync(0, s_qcow2);
        }

        Assert.Equal(s_qcow2, _files.Get("disk")[..8]);
    }

    private static async ValueTask<BlockLayerException> AssertRefusedAsync(Func<ValueTask> write)
    {
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await write());
        Assert.Equal(BlockErrorKind.Denied, refused.Kind);
        return refused;
    }

    private async ValueTask AssertStillRawAsync()
    {
        await using BlockNode again = await OpenAsync(format: null, NodeAccess.ReadOnly);
        Assert.Equal("raw", again.DriverName);
    }

    private ValueTask<BlockNode> OpenAsync(string? format, NodeAccess access = NodeAccess.ReadWrite)
        => new ImageOpener(BuiltInFormats.All, _environment).OpenAsync(
            "disk", new ImageOpenOptions { Format = format, Access = access, Policy = OpenPolicy.QemuCompatible });
}
