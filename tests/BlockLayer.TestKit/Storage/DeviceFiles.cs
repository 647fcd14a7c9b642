using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>Files of which one passes for a block device, which no test may make or has. It is as long as it is from the beginning, and cannot be deleted.</summary>
public sealed class DeviceFiles(StorageProvider files, string device) : StorageProvider
{
    public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
        => files.OpenAsync(path, path == device ? options with { Mode = StorageOpenMode.OpenExisting } : options, cancellationToken);

    public override StorageFileInfo? GetInfo(string path)
        => path == device ? files.GetInfo(path)! with { Kind = StorageFileKind.BlockDevice } : files.GetInfo(path);

    public override string GetRealPath(string path) => files.GetRealPath(path);

    public override IReadOnlyList<string> ListFiles(string directory) => files.ListFiles(directory);

    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => files.RenameAsync(path, newPath, cancellationToken);

    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
        => path == device ? throw new InvalidOperationException("somebody deletes a device") : files.DeleteAsync(path, cancellationToken);

    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => files.FlushDirectoryAsync(path, cancellationToken);
}
