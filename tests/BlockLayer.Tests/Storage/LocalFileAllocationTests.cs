using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>Requests served by the caller's thread allocate nothing.</summary>
public sealed class LocalFileAllocationTests
{
    private const int Rounds = 1000;

    private static readonly CancellationToken s_none = CancellationToken.None;

    [Theory]
    [InlineData(null)]
    [InlineData(LocalFlavours.MemoryFileSystem)]
    public async Task Cached_reads_and_small_overwrites_allocate_nothing(string? parent)
    {
        using var folder = new TemporaryFolder(parent);
        await using BlockStorage file = await LocalFlavours.Linux().OpenAsync(
            folder.File("file"), new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none);
        byte[] buffer = Pattern.Of(0, 4096, 1);
        await file.WriteAsync(0, new byte[1 << 20], s_none);

        // The first requests may allocate what is kept, and the runtime what it compiles with.
        _ = AllocatedBy(file, buffer);
        long allocated = AllocatedBy(file, buffer);

        Assert.Equal(0, allocated);
    }

    private static long AllocatedBy(BlockStorage file, byte[] buffer)
    {
        Memory<byte>[] targets = [buffer.AsMemory(0, 1024), buffer.AsMemory(1024, 3072)];
        ReadOnlyMemory<byte>[] sources = [buffer.AsMemory(0, 1024), buffer.AsMemory(1024, 3072)];
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Rounds; i++)
        {
            long offset = (i % 256) * 4096;
            ValueTask read = file.ReadAsync(offset, buffer, s_none);
            ValueTask write = file.WriteAsync(offset, buffer, s_none);
            ValueTask readPieces = file.ReadAsync(offset, targets, s_none);
            ValueTask writePieces = file.WriteAsync(offset, sources, s_none);
            if (!read.IsCompletedSuccessfully || !write.IsCompletedSuccessfully || !readPieces.IsCompletedSuccessfully || !writePieces.IsCompletedSuccessfully)
            {
                throw new InvalidOperationException("a request left the caller's thread");
            }
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
