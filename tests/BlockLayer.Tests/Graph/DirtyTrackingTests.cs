using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

public sealed class DirtyTrackingTests
{
    private const int Length = 1 << 20;
    private const int Bits = 12;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();
    private readonly DirtyBitmap _bitmap = new(Length, Bits);

    [Fact]
    public async Task Writes_zeroes_and_discards_are_marked_and_reads_are_not()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length);
        node.AttachBitmap(_bitmap);
        await node.ReadAsync(0, new byte[Length]);
        await node.FlushAsync();
        Assert.True(_bitmap.IsEmpty);

        await node.WriteAsync(5000, new byte[1]);
        await node.WriteAsync(20_000, new byte[10_000], WriteFlags.Fua);
        await node.WriteZeroesAsync(100_000, 1);
        await node.DiscardAsync(0x80000, 4096);

        Assert.Equal(
            [new ByteRange(4096, 4096), new ByteRange(16384, 16384), new ByteRange(98304, 4096), new ByteRange(0x80000, 4096)],
            _bitmap.DirtyRanges());
    }

    [Fact]
    public async Task A_write_under_way_is_dirty_already_and_is_dirty_again_when_somebody_cleared_it_meanwhile()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length);
        node.AttachBitmap(_bitmap);
        TaskCompletionSource hold = node.Script.Hold("write");
        Task write = node.WriteAsync(0, new byte[1]).AsTask();
        Assert.True(_bitmap.IsDirty(0), "a reader would take the unit for unchanged");

        _bitmap.Clear();
        hold.SetResult();
        await write;

        Assert.True(_bitmap.IsDirty(0), "what was read before the write ended would be taken for all there is");
    }

    [Fact]
    public async Task A_write_that_fails_is_dirty_because_it_may_be_torn()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length);
        node.AttachBitmap(_bitmap);
        TaskCompletionSource hold = node.Script.Hold("write");
        Task write = node.WriteAsync(0, new byte[1]).AsTask();
        _bitmap.Clear();
        hold.SetException(new BlockLayerException(BlockErrorKind.Io, "torn"));

        await Assert.ThrowsAsync<BlockLayerException>(() => write);

        Assert.True(_bitmap.IsDirty(0));
    }

    [Fact]
    public async Task Requests_from_a_parent_are_marked_too()
    {
        ScriptedNode child = await ScriptedNode.CreateAsync(_environment, Length);
        await using var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All);
        child.AttachBitmap(_bitmap);

        await parent.WriteAsync(0, new byte[1]);

        Assert.True(_bitmap.IsDirty(0));
    }

    [Fact]
    public async Task A_bitmap_follows_the_length_of_its_node()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length, grows: true);
        node.AttachBitmap(_bitmap);
        await node.ResizeAsync(2 * Length);
        await node.WriteAsync((2 * Length) - 1, new byte[1]);
        Assert.Equal([new ByteRange((2 * Length) - 4096, 4096)], _bitmap.DirtyRanges());

        await node.WriteAsync(Origin.Edge, 3 * Length, new byte[1], WriteFlags.None, CancellationToken.None); // a parent's write past the end
        Assert.True(_bitmap.IsDirty(3 * Length));

        await node.ResizeAsync(Length, new ResizeOptions { AllowShrink = true });
        Assert.True(_bitmap.IsEmpty);
    }

    [Fact]
    public async Task A_length_that_a_bitmap_cannot_describe_is_refused_before_anything_happens()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length);
        node.AttachBitmap(new DirtyBitmap(Length, DirtyBitmap.MinGranularityBits));

        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.ResizeAsync(long.MaxValue).AsTask());

        Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
        Assert.Equal(0, node.Script.Count("resize"));
    }

    [Fact]
    public async Task Many_bitmaps_are_marked_and_one_that_is_detached_is_not()
    {
        await using ScriptedNode node = await ScriptedNode.CreateAsync(_environment, Length);
        var other = new DirtyBitmap(Length, Bits);
        node.AttachBitmap(_bitmap);
        node.AttachBitmap(other);
        await node.WriteAsync(0, new byte[1]);
        node.DetachBitmap(other);
        await node.WriteAsync(8192, new byte[1]);

        Assert.Equal([new ByteRange(0, 4096), new ByteRange(8192, 4096)], _bitmap.DirtyRanges());
        Assert.Equal([new ByteRange(0, 4096)], other.DirtyRanges());
    }
}
