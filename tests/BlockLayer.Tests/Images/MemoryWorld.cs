using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Images;

/// <summary>A world of files in memory, with as many workers as a test wants to see.</summary>
internal sealed class MemoryWorld
{
    internal BlockEnvironment Environment { get; } = new()
    {
        Files = new MemoryStorageProvider(),
        Work = ThreadPoolWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    internal DiskOptions As(string format, NodeAccess access = NodeAccess.ReadWrite) => new() { Format = format, Access = access, Environment = Environment };

    internal ValueTask<Disk> CreateRawAsync(string path, long length)
        => Disk.CreateAsync(path, new NewImage { Format = "raw", Length = length }, As("raw"));

    internal bool Exists(string path) => Environment.Files.GetInfo(path) is not null;
}
