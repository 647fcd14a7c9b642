using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Images;

/// <summary>A world of files in memory, with as many workers as a test wants to see.</summary>
/// <param name="capacity">Room for all files together, in bytes.</param>
internal sealed class MemoryWorld(long capacity = long.MaxValue)
{
    internal BlockEnvironment Environment { get; } = new()
    {
        Files = new MemoryStorageProvider(capacity),
        Work = ThreadPoolWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    internal DiskOptions As(string format, NodeAccess access = NodeAccess.ReadWrite) => new() { Format = format, Access = access, Environment = Environment };

    internal ValueTask<Disk> CreateRawAsync(string path, long length)
        => CreateAsync(path, "raw", length);

    internal ValueTask<Disk> CreateAsync(string path, string format, long length, BackingReference? backing = null)
        => Disk.CreateAsync(path, new NewImage { Format = format, Length = length, Backing = backing }, As(format));

    internal bool Exists(string path) => Environment.Files.GetInfo(path) is not null;
}
