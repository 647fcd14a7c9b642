using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Simulation.Tests.Filters;

/// <summary>A simulated machine with three files: the two sides of a mirror and its log. Only their names survive a crash; everything is opened anew by path.</summary>
internal static class MirrorWorld
{
    internal const int Length = 48 * 1024;
    internal const int Region = 8 * 1024;
    internal const string Source = "/vm/source";
    internal const string Destination = "/vm/destination";
    internal const string Log = "/vm/log";

    /// <summary>The files as they are before the first open: a source that guests have written, a destination of other bytes, an empty log.</summary>
    internal static byte[] AddFiles(SimulatedStorageProvider storage)
    {
        byte[] initial = GuestStamp.Create(0, Length, writer: 1 << 30);
        storage.AddFile(Source, initial);
        storage.AddFile(Destination, GuestStamp.Create(0, Length, writer: 1 << 29));
        storage.AddFile(Log, []);
        return initial;
    }

    /// <summary>Opens the mirror of the three files.</summary>
    internal static async Task<MirrorNode> OpenAsync(BlockEnvironment environment, MirrorOptions options, bool withLog = true)
    {
        BlockNode source = await OpenFileAsync(environment, Source);
        BlockNode destination = await OpenFileAsync(environment, Destination);
        BlockNode? log = withLog ? await OpenFileAsync(environment, Log) : null;
        return await MirrorNode.OpenAsync(source, destination, log, options with { RegionSize = Region });
    }

    private static async Task<BlockNode> OpenFileAsync(BlockEnvironment environment, string path)
        => new StorageNode(await environment.Files.OpenAsync(path, new StorageOpenOptions { Writable = true }, CancellationToken.None), environment);
}
