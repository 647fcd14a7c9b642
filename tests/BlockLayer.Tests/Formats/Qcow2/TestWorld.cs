using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>A world with files in memory, and images made and opened in it.</summary>
internal sealed class TestWorld
{
    internal TestWorld(long capacity = long.MaxValue)
    {
        Files = new MemoryStorageProvider(capacity);
        Environment = new BlockEnvironment { Files = Files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
    }

    internal MemoryStorageProvider Files { get; }

    /// <summary>What encrypted images are opened with; null for nothing.</summary>
    internal Passphrase? Passphrase { get; set; }

    internal BlockEnvironment Environment { get; }

    /// <summary>The file of an image, as a node.</summary>
    internal async ValueTask<StorageNode> OpenFileAsync(string path, StorageOpenMode mode = StorageOpenMode.OpenExisting)
        => new(await Files.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = mode }, CancellationToken.None), Environment);

    /// <summary>All bytes of a file.</summary>
    internal async Task<byte[]> ReadFileAsync(string path)
    {
        await using StorageNode file = await OpenFileAsync(path);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content);
        return content;
    }

    /// <summary>Puts these bytes in the place of a file.</summary>
    internal async Task WriteFileAsync(string path, byte[] content)
    {
        await using StorageNode file = await OpenFileAsync(path, StorageOpenMode.CreateOrTruncate);
        await file.ResizeAsync(content.Length);
        await file.WriteAsync(0, content);
    }

    internal async ValueTask CreateAsync(string path, Qcow2CreateOptions options)
    {
        await using StorageNode file = await OpenFileAsync(path, StorageOpenMode.CreateOrTruncate);
        if (options.DataFile is { } name)
        {
            await using StorageNode data = await OpenFileAsync(name, StorageOpenMode.CreateOrTruncate);
            await data.ResizeAsync(options.Length);
        }

        await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None);
    }

    /// <summary>Opens an image and its data file, but no backing file.</summary>
    internal ValueTask<Qcow2Node> OpenAsync(string path, NodeAccess access = NodeAccess.ReadWrite, Qcow2OpenOptions? options = null, OpenPurpose purpose = OpenPurpose.Use)
        => OpenAsync(path, new FormatOpenContext { NodeName = path, Access = access, Purpose = purpose, Passphrase = Passphrase, OpenDataFile = OpenDataFileAsync }, options);

    /// <summary>Opens a snapshot of an image, for reading.</summary>
    internal ValueTask<Qcow2Node> OpenSnapshotAsync(string path, string snapshot)
        => OpenAsync(path, new FormatOpenContext { NodeName = $"{path}, snapshot {snapshot}", Access = NodeAccess.ReadOnly, Snapshot = snapshot });

    private async ValueTask<Qcow2Node> OpenAsync(string path, FormatOpenContext context, Qcow2OpenOptions? options = null)
    {
        StorageNode file = await OpenFileAsync(path);
        try
        {
            var format = new Qcow2Format(options ?? new Qcow2OpenOptions());
            return (Qcow2Node)await format.OpenAsync(file, context, CancellationToken.None);
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    private async ValueTask<BlockNode> OpenDataFileAsync(string name, CancellationToken cancellationToken)
        => new RawNode(name, await OpenFileAsync(name), NodeAccess.ReadWrite);

    /// <summary>Changes crypt_method of an image without data.</summary>
    internal async ValueTask SetEncryptionMethodAsync(string path, EncryptionMethod method)
    {
        await using StorageNode file = await OpenFileAsync(path);
        await file.WriteAsync(32, new byte[] { 0, 0, 0, (byte)method });
    }

    /// <summary>A raw, read-only node over a file with this content.</summary>
    internal async ValueTask<BlockNode> CreateRawAsync(string path, byte[] content)
    {
        StorageNode file = await OpenFileAsync(path, StorageOpenMode.CreateOrTruncate);
        await file.ResizeAsync(content.Length);
        await file.WriteAsync(0, content);
        return new RawNode(path, file, NodeAccess.ReadOnly);
    }
}
