using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>Passes every call on to another provider, but puts a hook on one file.</summary>
public sealed class HookedStorageProvider : StorageProvider
{
    private readonly StorageProvider _inner;
    private readonly string _path;
    private readonly StorageHook _hook;

    /// <summary>Puts <paramref name="hook"/> on the file that <paramref name="path"/> leads to.</summary>
    public HookedStorageProvider(StorageProvider inner, string path, StorageHook hook)
    {
        _inner = inner;
        _path = inner.GetRealPath(path);
        _hook = hook;
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        BlockStorage file = await _inner.OpenAsync(path, options, cancellationToken).ConfigureAwait(false);
        return _inner.GetRealPath(path) == _path ? new HookedStorage(file, _hook) : file;
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path) => _inner.GetInfo(path);

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory) => _inner.ListFiles(directory);

    /// <inheritdoc/>
    public override string GetRealPath(string path) => _inner.GetRealPath(path);

    /// <inheritdoc/>
    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
        => _inner.RenameAsync(path, newPath, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => _inner.DeleteAsync(path, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => _inner.FlushDirectoryAsync(path, cancellationToken);
}
