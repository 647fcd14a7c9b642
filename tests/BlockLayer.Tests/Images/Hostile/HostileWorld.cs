using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Files in memory whose opening is watched. In the end nothing is open and no buffer is lost, whatever was refused.</summary>
internal sealed class HostileWorld : IDisposable
{
    internal HostileWorld(long capacity = long.MaxValue, Func<StorageProvider, StorageProvider>? around = null)
    {
        Memory = new MemoryStorageProvider(capacity);
        Files = new WatchedFiles(around is null ? Memory : around(Memory));
        Environment = TestEnvironment.Inline() with { Files = Files };
    }

    internal MemoryStorageProvider Memory { get; }

    internal WatchedFiles Files { get; }

    internal BlockEnvironment Environment { get; }

    public void Dispose()
    {
        Assert.Equal(0, Files.Open);
        Assert.Equal(0, Environment.Buffers.Outstanding);
    }

    internal async ValueTask PutAsync(string path, ReadOnlyMemory<byte> content)
    {
        await using BlockStorage file = await Memory.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
        await file.WriteAsync(0, content, CancellationToken.None);
    }

    internal async ValueTask<byte[]> GetAsync(string path)
    {
        await using BlockStorage file = await Memory.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content, CancellationToken.None);
        return content;
    }

    internal ValueTask<BlockNode> OpenAsync(string path, string? format, OpenPolicy? policy = null, NodeAccess access = NodeAccess.ReadOnly)
        => OpenAsync(path, new ImageOpenOptions { Format = format, Policy = policy ?? OpenPolicy.Default, Access = access });

    internal ValueTask<BlockNode> OpenAsync(string path, ImageOpenOptions options) => new ImageOpener(BuiltInFormats.All, Environment).OpenAsync(path, options);

    internal ValueTask<ImageInspection> InspectAsync(string path, string? format = null)
        => ImageInspector.InspectAsync(path, new InspectOptions { Format = format, Environment = Environment });
}
