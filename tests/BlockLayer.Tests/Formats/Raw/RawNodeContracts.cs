using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Formats.Raw;

/// <summary>Raw disks, created and opened as the format does it.</summary>
public abstract class RawNodeContract : PersistentNodeContract
{
    private protected abstract BlockEnvironment Environment { get; }

    private protected abstract string Path { get; }

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockNode file = await OpenFileAsync(NodeAccess.ReadWrite, StorageOpenMode.CreateNew);
        await RawFormat.Instance.CreateAsync(file, new ImageCreateOptions { Length = length }, default);
        return await OpenAsync(file, NodeAccess.ReadWrite);
    }

    private protected override ValueTask<BlockNode> ReopenAsync(NodeAccess access) => ReopenFileAsync(access);

    private async ValueTask<BlockNode> ReopenFileAsync(NodeAccess access) => await OpenAsync(await OpenFileAsync(access, StorageOpenMode.OpenExisting), access);

    private ValueTask<BlockNode> OpenAsync(BlockNode file, NodeAccess access)
        => RawFormat.Instance.OpenAsync(file, new FormatOpenContext { NodeName = Path, Access = access }, default);

    private async ValueTask<BlockNode> OpenFileAsync(NodeAccess access, StorageOpenMode mode)
        => new StorageNode(
            await Environment.Files.OpenAsync(Path, new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite, Mode = mode }, default), Environment);
}

/// <summary>Raw over memory.</summary>
public class RawOverMemoryContract : RawNodeContract
{
    private protected override BlockEnvironment Environment { get; } = TestEnvironment.Inline();

    private protected override string Path => "disk.raw";
}

/// <summary>Raw over a file of this machine.</summary>
public sealed class RawOverLocalFileContract : RawNodeContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private protected override BlockEnvironment Environment { get; } = TestEnvironment.Inline() with { Files = LocalStorageProvider.Instance };

    private protected override string Path => _folder.File("disk.raw");

    public void Dispose() => _folder.Dispose();
}
