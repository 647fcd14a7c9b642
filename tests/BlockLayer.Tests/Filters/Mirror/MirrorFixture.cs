using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>Two sides in memory with hand-held steps, and a log in a memory file, under a mirror that a test opens, closes and opens again.</summary>
internal sealed class MirrorFixture
{
    internal const int Length = 64 * 1024;
    internal const int Region = 4096;

    internal MirrorFixture(TimeProvider? time = null, int destinationLength = Length, NodeAccess destinationAccess = NodeAccess.ReadWrite)
    {
        Environment = TestEnvironment.Inline(time);
        Source = new MemoryOverlayNode("source", Length, 512, Environment) { Steps = SourceSteps };
        Destination = new MemoryOverlayNode("destination", destinationLength, 1024, Environment, access: destinationAccess) { Steps = DestinationSteps };
    }

    internal BlockEnvironment Environment { get; }

    internal MemoryOverlayNode Source { get; }

    internal MemoryOverlayNode Destination { get; }

    internal HeldSteps SourceSteps { get; } = new();

    internal HeldSteps DestinationSteps { get; } = new();

    /// <summary>The bytes of the log; made anew by a test that wants to damage it.</summary>
    internal async Task<byte[]> ReadLogAsync()
    {
        await using BlockStorage file = await OpenLogFileAsync();
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes, CancellationToken.None);
        return bytes;
    }

    internal async Task WriteLogAsync(long offset, byte[] bytes)
    {
        await using BlockStorage file = await OpenLogFileAsync();
        await file.WriteAsync(offset, bytes, CancellationToken.None);
    }

    /// <summary>Opens a mirror of the two sides, which stay open when it is closed.</summary>
    internal async Task<MirrorNode> OpenAsync(MirrorOptions? options = null, bool withLog = true, BlockNode? source = null, BlockNode? destination = null)
    {
        (source, destination) = (source ?? Source, destination ?? Destination);
        source.AddReference();
        destination.AddReference();
        BlockNode? log = withLog ? new StorageNode(await OpenLogFileAsync(), Environment) : null;
        try
        {
            return await MirrorNode.OpenAsync(source, destination, log, (options ?? new MirrorOptions()) with { RegionSize = Region });
        }
        catch
        {
            await source.DisposeAsync(); // throws or hangs if the failed open had kept or dropped a reference too many
            await destination.DisposeAsync();
            if (log is not null)
            {
                await log.DisposeAsync();
            }

            throw;
        }
    }

    internal static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] content = new byte[Length];
        await node.ReadAsync(0, content);
        return content;
    }

    /// <summary>True when both sides hold the same bytes, whatever the mirror thinks.</summary>
    internal async Task<bool> SidesAreEqualAsync()
    {
        byte[] source = await ReadAllAsync(Source);
        byte[] destination = await ReadAllAsync(Destination);
        return source.AsSpan().SequenceEqual(destination);
    }

    private ValueTask<BlockStorage> OpenLogFileAsync()
    {
        StorageOpenMode mode = Environment.Files.GetInfo("log") is null ? StorageOpenMode.CreateNew : StorageOpenMode.OpenExisting;
        return Environment.Files.OpenAsync("log", new StorageOpenOptions { Writable = true, Mode = mode }, CancellationToken.None);
    }
}
