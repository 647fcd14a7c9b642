using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedFormatTests
{
    private readonly QedWorld _world = new();

    [Fact]
    public void Create_options_are_read_as_qemu_img_spells_them()
    {
        var basic = new ImageCreateOptions { Length = 1 << 20, Backing = new BackingReference("b", "raw") };
        var options = new Dictionary<string, string> { ["cluster_size"] = "128k", ["table_size"] = "16" };
        ImageCreateOptions parsed = QedFormat.Instance.ParseCreateOptions(basic, options);
        Assert.Equal(new QedCreateOptions { Length = 1 << 20, Backing = basic.Backing, ClusterSize = 131072, TableSize = 16 }, parsed);
    }

    [Theory]
    [InlineData("compat", "1.1", "Format qed has no option 'compat'; it has cluster_size and table_size.")]
    [InlineData("cluster_size", "big", "cluster_size is 'big', which is no size.")]
    public void Options_that_QED_does_not_have_are_refused(string name, string value, string message)
    {
        var basic = new ImageCreateOptions { Length = 1 << 20 };
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => QedFormat.Instance.ParseCreateOptions(basic, new Dictionary<string, string> { [name] = value }));
        Assert.Equal(message, error.Message);
    }

    [Theory]
    [InlineData(2048, 4, 0, "cluster_size is 2048; QED images are created with a power of two from 4096 to 67108864.")]
    [InlineData(65536, 1, 0, "table_size is 1; QED images are created with a power of two from 2 to 16.")]
    [InlineData(65536, 3, 0, "table_size is 3; QED images are created with a power of two from 2 to 16.")]
    [InlineData(4096, 2, (4L << 30) + 1, "The length is 4294967297 bytes; with cluster_size 4096 and table_size 2 a QED image takes 0 to 4294967296.")]
    public async Task Options_that_make_no_image_are_refused(int clusterSize, int tableSize, long length, string message)
    {
        var options = new QedCreateOptions { Length = length, ClusterSize = clusterSize, TableSize = tableSize };
        ArgumentException error = await Assert.ThrowsAsync<ArgumentException>(async () => await _world.CreateAsync("/disk.qed", options));
        Assert.Equal(message, error.Message);
    }

    [Fact]
    public async Task A_length_is_rounded_up_to_a_sector()
    {
        await _world.CreateAsync("/disk.qed", QedWorld.Small(1000));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        Assert.Equal(1024, node.Length);
    }

    [Fact]
    public async Task A_backing_file_that_is_not_said_to_be_raw_is_what_its_magic_says()
    {
        await _world.CreateAsync("/base.qed", QedWorld.Small(1 << 20));
        await _world.CreateAsync("/top.qed", QedWorld.Small(1 << 20) with { Backing = new BackingReference("base.qed", "qed") });
        await using BlockNode top = await OpenChainAsync();
        Assert.Equal("qed", top.Backing?.DriverName);
    }

    [Fact]
    public async Task A_backing_file_with_neither_the_raw_flag_nor_a_magic_is_refused()
    {
        await _world.CreateRawAsync("/base.raw", Pattern.Of(0, 4096, writer: 1));
        await _world.CreateAsync("/top.qed", QedWorld.Small(1 << 20) with { Backing = new BackingReference("base.raw", null) });
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenChainAsync());
        Assert.Equal((BlockErrorKind.InvalidFormat, "/base.raw"), (error.Kind, error.Path));
    }

    [Fact]
    public async Task A_raw_backing_file_is_raw_whatever_it_starts_with()
    {
        await _world.CreateRawAsync("/base.raw", [.. "QED\0"u8, .. new byte[4092]]);
        await _world.CreateAsync("/top.qed", QedWorld.Small(1 << 20) with { Backing = new BackingReference("base.raw", "raw") });
        await using BlockNode top = await OpenChainAsync();
        Assert.Equal("raw", top.Backing?.DriverName);
        byte[] found = new byte[4];
        await top.ReadAsync(0, found);
        Assert.Equal("QED\0"u8.ToArray(), found);
    }

    private ValueTask<BlockNode> OpenChainAsync()
        => new ImageOpener(BuiltInFormats.All, _world.Environment).OpenAsync("/top.qed", new ImageOpenOptions { Format = "qed" });
}
