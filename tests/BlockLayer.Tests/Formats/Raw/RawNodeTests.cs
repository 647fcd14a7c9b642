using BlockLayer.Errors;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Raw;

public class RawNodeTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task A_raw_disk_does_not_grow_although_its_file_would()
    {
        BlockNode file = await OpenAsync(length: 1000);
        await using var raw = new RawNode("disk", file, NodeAccess.ReadWrite);
        BlockLayerException outside = await Assert.ThrowsAsync<BlockLayerException>(async () => await raw.WriteAsync(999, new byte[2]));
        Assert.Equal((BlockErrorKind.OutOfRange, "disk", "disk"), (outside.Kind, outside.NodeName, outside.Path));
        Assert.Equal("2 bytes at offset 999 lie outside 'disk', which is 1000 bytes long.", outside.Message);
        Assert.Equal(1000, file.Length);
    }

    [Fact]
    public async Task Its_runs_are_those_of_its_file_at_the_same_place()
    {
        await using var raw = new RawNode("disk", await OpenAsync(length: 1 << 20), NodeAccess.ReadWrite);
        await raw.WriteAsync(65_536, Pattern.Of(65_536, 65_536, 1));
        BlockStatus hole = await raw.GetStatusAsync(0, 1 << 20, StatusDepth.Chain);
        Assert.Equal((true, true, 65_536L, raw), (hole.IsZero, hole.IsAllocated, hole.Length, hole.Provider));
        BlockStatus data = await raw.GetStatusAsync(70_000, 1 << 18, StatusDepth.Node);
        Assert.Equal((true, 70_000L, 131_072L - 70_000, raw), (data.IsData, data.HostOffset, data.Length, data.Provider));
    }

    [Fact]
    public async Task While_a_raw_disk_is_written_nobody_else_writes_or_resizes_its_file()
    {
        BlockNode file = await OpenAsync(length: 1000);
        await using var raw = new RawNode("disk", file, NodeAccess.ReadWrite);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteAsync(0, new byte[1]));
        Assert.Equal((BlockErrorKind.Conflict, "'disk' cannot be written: 'disk' uses it as its Data child."), (refused.Kind, refused.Message));
        refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ResizeAsync(2000));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    [Fact]
    public async Task A_writable_disk_needs_a_writable_file()
    {
        await (await OpenAsync(length: 1000)).DisposeAsync();
        var file = new StorageNode(await _environment.Files.OpenAsync("disk", new StorageOpenOptions(), default), _environment);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => new RawNode("raw", file, NodeAccess.ReadWrite));
        Assert.Equal((BlockErrorKind.ReadOnly, "'raw' needs to write 'disk', which is open read-only."), (refused.Kind, refused.Message));
        Assert.Empty(file.Parents);
        await file.DisposeAsync();
    }

    [Fact]
    public async Task Raw_takes_no_cluster_size_and_no_backing_file_and_claims_no_file()
    {
        RawFormat raw = RawFormat.Instance;
        var basic = new ImageCreateOptions { Length = 512 };
        Assert.Equal(new RawCreateOptions(basic), raw.ParseCreateOptions(basic, new Dictionary<string, string>()));
        Assert.Throws<ArgumentException>(() => raw.ParseCreateOptions(basic, new Dictionary<string, string> { ["cluster_size"] = "64k" }));
        Assert.False(raw.Probe("RAW"u8));
        await using BlockNode file = await OpenAsync(length: 0);
        ArgumentException refused = await Assert.ThrowsAsync<ArgumentException>(
            async () => await raw.CreateAsync(file, basic with { Backing = new BackingReference("base", "raw") }, default));
        Assert.Equal("A raw image cannot have a backing file; 'base' (raw) was asked for.", refused.Message);
        Assert.Equal(0, file.Length);
        await raw.CreateAsync(file, basic, default);
        Assert.Equal(512, file.Length);
    }

    private async ValueTask<BlockNode> OpenAsync(long length)
    {
        BlockStorage storage = await _environment.Files.OpenAsync(
            "disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, default);
        await storage.SetLengthAsync(length, default);
        return new StorageNode(storage, _environment);
    }
}
