using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// A file system in memory, for tests and for scratch images. Files are sparse in pages of 4 KiB, image locks hold among all who open files of one
/// provider, and the room may be limited. Free-threaded.
/// </summary>
/// <remarks>
/// Paths are <c>/</c> separated and relative to the root whether they start with <c>/</c> or not; <c>.</c> and <c>..</c> are resolved in the text. A
/// directory exists while a file lies beneath it. There are no links.
/// </remarks>
public sealed class MemoryStorageProvider : StorageProvider
{
    private static long s_lastDevice; // interlocked: two providers have no file in common

    private readonly ulong _device = (ulong)Interlocked.Increment(ref s_lastDevice);
    private readonly MemoryCapacity _capacity;
    private readonly ImageLockTable _locks = new();

    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, MemoryFileContent> _files = new(StringComparer.Ordinal); // guarded by _gate
    private ulong _lastInode;                                                                          // guarded by _gate

    /// <summary>Makes an empty file system.</summary>
    /// <param name="capacity">Room for file contents in bytes, taken and given back in pages of 4 KiB. A write that finds none fails with NoSpace.</param>
    public MemoryStorageProvider(long capacity = long.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        _capacity = new MemoryCapacity(capacity);
    }

    /// <summary>Bytes that file contents occupy, deleted files that are still open included.</summary>
    public long UsedLength => _capacity.Used;

    /// <inheritdoc/>
    public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        if (!options.Writable && options.Mode != StorageOpenMode.OpenExisting)
        {
            throw new ArgumentException("A file that is created has to be writable.", nameof(options));
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<BlockStorage>(cancellationToken);
        }

        try
        {
            return new ValueTask<BlockStorage>(Open(path, options));
        }
        catch (BlockLayerException error)
        {
            return ValueTask.FromException<BlockStorage>(error);
        }
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path)
    {
        string name = GetRealPath(path);
        lock (_gate)
        {
            if (_files.TryGetValue(name, out MemoryFileContent? content))
            {
                return new StorageFileInfo(content.Identity, StorageFileKind.Regular, content.Length);
            }

            // A directory has no number of its own. No file has inode 0, and callers only ever compare files.
            return IsDirectoryLocked(name) ? new StorageFileInfo(new StorageIdentity(_device, 0), StorageFileKind.Directory, 0) : null;
        }
    }

    /// <inheritdoc/>
    public override string GetRealPath(string path)
    {
        var parts = new List<string>();
        foreach (string part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == "..")
            {
                parts.RemoveRange(Math.Max(0, parts.Count - 1), Math.Min(1, parts.Count));
            }
            else if (part != ".")
            {
                parts.Add(part);
            }
        }

        return "/" + string.Join('/', parts);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory)
    {
        string name = GetRealPath(directory);
        string prefix = name == "/" ? name : name + "/";
        lock (_gate)
        {
            return IsDirectoryLocked(name)
                ? [.. _files.Keys.Where(file => file.StartsWith(prefix, StringComparison.Ordinal) && file.IndexOf('/', prefix.Length) < 0)
                    .Select(file => Path.Combine(directory, file[prefix.Length..]))]
                : throw new BlockLayerException(BlockErrorKind.NotFound, "There is no such directory.") { Path = directory };
        }
    }

    /// <inheritdoc/>
    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
    {
        string name = GetRealPath(path);
        string newName = GetRealPath(newPath);
        MemoryFileContent? replaced;
        lock (_gate)
        {
            if (!_files.TryGetValue(name, out MemoryFileContent? content))
            {
                return ValueTask.FromException(NotFound("Rename", path));
            }

            if (name == newName)
            {
                return ValueTask.CompletedTask;
            }

            if (WhyNoFileCanBeLocked(newName, newPath) is { } refusal)
            {
                return ValueTask.FromException(refusal);
            }

            _files.Remove(newName, out replaced);
            _files.Remove(name);
            _files.Add(newName, content);
        }

        replaced?.DropUse();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
    {
        MemoryFileContent? content;
        lock (_gate)
        {
            if (!_files.Remove(GetRealPath(path), out content))
            {
                return ValueTask.FromException(NotFound("Delete", path));
            }
        }

        content.DropUse();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    private static BlockLayerException NotFound(string subject, string path)
        => new(BlockErrorKind.NotFound, $"{subject} failed: there is no such file.") { Path = path };

    private MemoryFile Open(string path, StorageOpenOptions options)
    {
        string name = GetRealPath(path);
        lock (_gate)
        {
            bool exists = _files.TryGetValue(name, out MemoryFileContent? content);
            if (exists && options.Mode == StorageOpenMode.CreateNew)
            {
                throw new BlockLayerException(BlockErrorKind.Conflict, "Open failed: the file exists.") { Path = path };
            }

            if (WhyNoFileCanBeLocked(name, path) is { } refusal)
            {
                throw refusal;
            }

            if (!exists && options.Mode == StorageOpenMode.OpenExisting)
            {
                throw NotFound("Open", path);
            }

            content ??= new MemoryFileContent(new StorageIdentity(_device, ++_lastInode), _capacity);
            ImageLockTable.Entry? imageLock = options.Lock is { } wanted ? _locks.Take(content.Identity, wanted, path) : null;
            if (options.Mode == StorageOpenMode.CreateOrTruncate)
            {
                content.SetLength(0, path);
            }

            _files[name] = content;
            return new MemoryFile(path, content, isReadOnly: !options.Writable, imageLock);
        }
    }

    /// <summary>Null if a file of that name exists or could be created.</summary>
    private BlockLayerException? WhyNoFileCanBeLocked(string name, string path)
    {
        if (IsDirectoryLocked(name))
        {
            return new BlockLayerException(BlockErrorKind.Denied, "The file is a directory; allowed are regular files and block devices.") { Path = path };
        }

        for (int slash = name.LastIndexOf('/'); slash > 0; slash = name.LastIndexOf('/', slash - 1))
        {
            if (_files.ContainsKey(name[..slash]))
            {
                return new BlockLayerException(BlockErrorKind.NotFound, $"{name[..slash]} is a file, not a directory.") { Path = path };
            }
        }

        return null;
    }

    private bool IsDirectoryLocked(string name)
    {
        string prefix = name == "/" ? name : name + "/";
        return name == "/" || _files.Keys.Any(file => file.StartsWith(prefix, StringComparison.Ordinal));
    }
}
