using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Requests;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

public class HotPathTests
{
    private const int Rounds = 2000;

    private readonly byte[] _buffer = new byte[4096];

    [Fact]
    public async Task Reads_and_overwrites_through_three_nodes_complete_at_once_and_allocate_nothing()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        BlockStorage storage = await environment.Files.OpenAsync(
            "disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, default);
        await storage.WriteAsync(0, new byte[1 << 20], default);
        var raw = new RawNode("disk", new StorageNode(storage, environment), NodeAccess.ReadWrite);
        await using var root = new PassThroughNode(raw, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All);

        Run(root); // compiles
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool allAtOnce = Run(root);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(allAtOnce);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public async Task Overwrites_that_a_bitmap_notes_complete_at_once_and_allocate_nothing_either()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        BlockStorage storage = await environment.Files.OpenAsync(
            "disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, default);
        await storage.WriteAsync(0, new byte[1 << 20], default);
        await using var raw = new RawNode("disk", new StorageNode(storage, environment), NodeAccess.ReadWrite);
        raw.AttachBitmap(new DirtyBitmap(raw.Length, 12));

        Run(raw); // compiles, and makes the chunk of bits
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool allAtOnce = Run(raw);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(allAtOnce);
        Assert.Equal(0, allocated);
    }

    private bool Run(BlockNode node)
    {
        bool allAtOnce = true;
        for (int i = 0; i < Rounds; i++)
        {
            long offset = i * 509L % ((1 << 20) - _buffer.Length);
            ValueTask read = node.ReadAsync(offset, _buffer);
            allAtOnce &= read.IsCompletedSuccessfully;
            ValueTask write = node.WriteAsync(offset, _buffer);
            allAtOnce &= write.IsCompletedSuccessfully;
        }

        return allAtOnce;
    }
}
