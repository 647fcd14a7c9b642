using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>The null file as a node keeps every promise but the one to remember.</summary>
public class NullNodeTests
{
    [Fact]
    public async Task A_null_disk_reads_as_zeroes_whatever_was_written_and_keeps_its_bounds()
    {
        await using var node = new StorageNode(new NullStorage(1 << 20), TestEnvironment.Inline());
        await node.WriteAsync(100, Pattern.Of(100, 5000, 1));
        byte[] found = Pattern.Of(0, 6000, 2);
        await node.ReadAsync(0, found);
        Assert.All(found, value => Assert.Equal(0, value));
        await node.FlushAsync();
        Assert.True((await node.GetStatusAsync(0, 1 << 20, StatusDepth.Chain)).IsZero);
        BlockLayerException outside = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync((1 << 20) - 1, new byte[2]));
        Assert.Equal(BlockErrorKind.OutOfRange, outside.Kind);
    }
}
