using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt.Tests.Disks;

/// <summary>Files that go on where they are open, and whose paths cannot be looked at any more once a test says so: a folder that was closed to this user, a file server that is away.</summary>
internal sealed class UnseenFiles(StorageProvider files) : StorageProvider
{
    /// <summary>Which paths cannot be looked at.</summary>
    internal Func<string, bool> IsUnseen { get; set; } = static _ => false;

    public override StorageFileInfo? GetInfo(string path) => files.GetInfo(Seen(path));

    public override string GetRealPath(string path) => files.GetRealPath(Seen(path));

    public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
        => files.OpenAsync(path, options, cancellationToken);

    public override IReadOnlyList<string> ListFiles(string directory) => files.ListFiles(directory);

    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => files.RenameAsync(path, newPath, cancellationToken);

    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => files.DeleteAsync(path, cancellationToken);

    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => files.FlushDirectoryAsync(path, cancellationToken);

    private string Seen(string path) => IsUnseen(path) ? throw new BlockLayerException(BlockErrorKind.Denied, "The file may not be looked at.") { Path = path } : path;
}
