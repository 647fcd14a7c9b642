using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>
/// Passes every call on to another provider and logs those that change storage or make it durable. On real files it tells what the operating system was
/// asked for, and <see cref="StorageLog.Replay"/> what a power failure could have made of it.
/// </summary>
/// <remarks>
/// A file that exists is read whole when it is first opened, renamed or deleted, because crash states need what it held before. Files are told apart by
/// their identity, so links and renames do not confuse the log. Copies inside the operating system are not offered while recording: their data would not
/// be seen. Reads are not logged.
/// </remarks>
public sealed class RecordingStorageProvider : StorageProvider
{
    private readonly StorageProvider _inner;
    private readonly AsyncLock _gate = new();
    private readonly Dictionary<StorageIdentity, int> _files = []; // guarded by _gate

    /// <summary>Records what is done through this provider.</summary>
    public RecordingStorageProvider(StorageProvider inner) => _inner = inner;

    /// <summary>What was done so far.</summary>
    public StorageLog Log { get; } = new();

    /// <inheritdoc/>
    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        string realPath = _inner.GetRealPath(path);
        using (await _gate.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            StorageFileInfo? before = _inner.GetInfo(realPath);
            await EnsureKnownAsync(realPath, before, cancellationToken).ConfigureAwait(false);
            BlockStorage storage = await _inner.OpenAsync(path, options, cancellationToken).ConfigureAwait(false);
            if (!_files.TryGetValue(storage.Identity, out int file))
            {
                file = Log.AddFile(realPath, content: null);
                _files.Add(storage.Identity, file);
                Log.End(Log.Begin(new StorageCall(StorageOperations.Create, realPath, 0, 0), file), StorageLogEvent.Completed);
            }
            else if (options.Mode == StorageOpenMode.CreateOrTruncate)
            {
                Log.End(Log.Begin(new StorageCall(StorageOperations.SetLength, realPath, 0, 0), file), StorageLogEvent.Completed);
            }

            return new RecordingStorage(storage, Log, file, realPath);
        }
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path) => _inner.GetInfo(path);

    /// <inheritdoc/>
    public override string GetRealPath(string path) => _inner.GetRealPath(path);

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory) => _inner.ListFiles(directory);

    /// <inheritdoc/>
    public override async ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
    {
        string from = _inner.GetRealPath(path);
        string to = _inner.GetRealPath(newPath);
        using (await _gate.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            await EnsureKnownAsync(from, _inner.GetInfo(from), cancellationToken).ConfigureAwait(false);
            StorageFileInfo? replaced = from == to ? null : _inner.GetInfo(to);
            await EnsureKnownAsync(to, replaced, cancellationToken).ConfigureAwait(false);
            await RecordAsync(Log.Begin(new StorageCall(StorageOperations.Rename, from, 0, 0), file: -1, newPath: to), _inner.RenameAsync(path, newPath, cancellationToken))
                .ConfigureAwait(false);
            Forget(replaced);
        }
    }

    /// <inheritdoc/>
    public override async ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
    {
        string realPath = _inner.GetRealPath(path);
        using (await _gate.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            StorageFileInfo? deleted = _inner.GetInfo(realPath);
            await EnsureKnownAsync(realPath, deleted, cancellationToken).ConfigureAwait(false);
            await RecordAsync(Log.Begin(new StorageCall(StorageOperations.Delete, realPath, 0, 0), file: -1), _inner.DeleteAsync(path, cancellationToken))
                .ConfigureAwait(false);
            Forget(deleted);
        }
    }

    /// <inheritdoc/>
    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken)
    {
        string directory = SimulatedPath.GetDirectory(_inner.GetRealPath(path));
        StorageLogEntry beginning = Log.Begin(new StorageCall(StorageOperations.FlushDirectory, directory, 0, 0), file: -1);
        return RecordAsync(beginning, _inner.FlushDirectoryAsync(path, cancellationToken));
    }

    private async ValueTask RecordAsync(StorageLogEntry beginning, ValueTask call)
    {
        try
        {
            await call.ConfigureAwait(false);
        }
        catch
        {
            Log.End(beginning, StorageLogEvent.Failed);
            throw;
        }

        Log.End(beginning, StorageLogEvent.Completed);
    }

    /// <summary>A file without a name lives on for those who have it open; its number may be given to another file.</summary>
    private void Forget(StorageFileInfo? file)
    {
        if (file is not null)
        {
            _files.Remove(file.Identity);
        }
    }

    private async ValueTask EnsureKnownAsync(string realPath, StorageFileInfo? info, CancellationToken cancellationToken)
    {
        if (info is not { Kind: StorageFileKind.Regular or StorageFileKind.BlockDevice } || _files.ContainsKey(info.Identity))
        {
            return;
        }

        BlockStorage storage = await _inner.OpenAsync(realPath, new StorageOpenOptions(), cancellationToken).ConfigureAwait(false);
        await using (storage.ConfigureAwait(false))
        {
            SparseContent content = await ReadAllAsync(storage, cancellationToken).ConfigureAwait(false);
            _files.Add(info.Identity, Log.AddFile(realPath, content));
        }
    }

    private static async ValueTask<SparseContent> ReadAllAsync(BlockStorage storage, CancellationToken cancellationToken)
    {
        var content = new SparseContent();
        content.SetLength(storage.Length);
        byte[] buffer = new byte[1 << 20];
        for (long at = 0; at < storage.Length;)
        {
            StorageExtent extent = await storage.GetExtentAsync(at, storage.Length - at, cancellationToken).ConfigureAwait(false);
            int count = (int)Math.Min(extent.Length, buffer.Length);
            if (extent.IsHole)
            {
                at += extent.Length;
                continue;
            }

            await storage.ReadAsync(at, buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
            content.Write(at, buffer.AsSpan(0, count));
            at += count;
        }

        return content;
    }
}
