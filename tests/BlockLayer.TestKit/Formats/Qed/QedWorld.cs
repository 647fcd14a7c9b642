using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Formats.Qed;

/// <summary>QED images in memory, made and opened without the opener so that a test sees each part.</summary>
internal sealed class QedWorld
{
    internal const int Cluster = 4096;

    internal BlockEnvironment Environment { get; init; } = new()
    {
        Files = new MemoryStorageProvider(),
        Work = ThreadPoolWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    /// <summary>4 KiB clusters and two-cluster tables: everything small.</summary>
    internal static QedCreateOptions Small(long length) => new() { Length = length, ClusterSize = Cluster, TableSize = 2 };

    internal async ValueTask CreateAsync(string path, QedCreateOptions options)
    {
        await using StorageNode file = await OpenFileAsync(path, NodeAccess.ReadWrite, StorageOpenMode.CreateOrTruncate);
        await QedFormat.Instance.CreateAsync(file, options, CancellationToken.None);
    }

    internal async ValueTask CreateRawAsync(string path, byte[] content)
    {
        await using StorageNode file = await OpenFileAsync(path, NodeAccess.ReadWrite, StorageOpenMode.CreateOrTruncate);
        await file.WriteZeroesAsync(Origin.Edge, 0, content.Length, ZeroFlags.None, CancellationToken.None);
        await file.WriteAsync(0, content);
    }

    /// <summary>Opens the image alone, or with <paramref name="backing"/>, a raw file, below it.</summary>
    internal async ValueTask<QedNode> OpenAsync(
        string path,
        string? backing = null,
        NodeAccess access = NodeAccess.ReadWrite,
        int cacheLength = QedLimits.DefaultTableCacheLength,
        OpenPurpose purpose = OpenPurpose.Use)
    {
        StorageNode file = await OpenFileAsync(path, access);
        try
        {
            QedNode node = await QedNode.OpenAsync(file, new FormatOpenContext { NodeName = path, Access = access, Purpose = purpose }, cacheLength, CancellationToken.None);
            if (backing is not null)
            {
                node.AttachBacking(new RawNode(backing, await OpenFileAsync(backing, NodeAccess.ReadOnly), NodeAccess.ReadOnly));
            }

            return node;
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    internal async ValueTask<byte[]> ReadFileAsync(string path)
    {
        await using StorageNode file = await OpenFileAsync(path, NodeAccess.ReadOnly);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content);
        return content;
    }

    /// <summary>Changes bytes of a file behind everybody's back.</summary>
    internal async ValueTask PatchAsync(string path, long offset, params byte[] bytes)
    {
        await using StorageNode file = await OpenFileAsync(path, NodeAccess.ReadWrite);
        await file.WriteAsync(Origin.Edge, offset, bytes, WriteFlags.None, CancellationToken.None);
    }

    internal ValueTask PatchEntryAsync(string path, long offset, ulong entry) => PatchAsync(path, offset, BitConverter.GetBytes(entry));

    internal async ValueTask<QedHeader> ReadHeaderAsync(string path) => QedHeader.Parse(await ReadFileAsync(path));

    internal async ValueTask<StorageNode> OpenFileAsync(string path, NodeAccess access, StorageOpenMode mode = StorageOpenMode.OpenExisting)
    {
        var options = new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite, Mode = mode };
        return new StorageNode(await Environment.Files.OpenAsync(path, options, CancellationToken.None), Environment);
    }
}
