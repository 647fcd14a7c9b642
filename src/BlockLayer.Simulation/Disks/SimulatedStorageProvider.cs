using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>
/// A file system in memory with everything that makes storage difficult: requests that take virtual time and complete in any order, faults, image
/// locks, and a volatile write cache for each file and directory. Its durable part and its cache are what crash tests enumerate.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>A request takes effect at the moment it completes. Before, a read sees none of it; a crash may nevertheless find all or part of it.</item>
/// <item>Bytes are durable after a flush of their file, names after a flush of their directory; a file's flush does not make its name durable.</item>
/// <item>Every directory exists. Relative paths start at the root.</item>
/// <item>A file keeps its inode number through renames and crashes. Each provider is a device of its own, so files of two never look like one.</item>
/// </list>
/// Not thread-safe: with a scheduler, the driving thread uses it; without, one thread at a time.
/// </remarks>
public sealed class SimulatedStorageProvider : StorageProvider
{
    private static ulong s_lastDevice;

    private readonly RequestQueue _queue;
    private readonly Dictionary<string, string> _links = new(StringComparer.Ordinal);
    private readonly ImageLockTable _locks = new();
    private readonly ulong _device = Interlocked.Increment(ref s_lastDevice);

    /// <summary>Empty storage whose requests are steps of a simulation.</summary>
    public SimulatedStorageProvider(SimulationScheduler scheduler, SimulatedStorageOptions? options = null)
        : this(scheduler, options ?? new SimulatedStorageOptions(), volume: null)
    {
    }

    /// <summary>Empty storage whose requests complete before the call returns.</summary>
    public SimulatedStorageProvider()
        : this(scheduler: null, new SimulatedStorageOptions { Latency = LatencyModel.Inline }, volume: null)
    {
    }

    internal SimulatedStorageProvider(SimulationScheduler? scheduler, SimulatedStorageOptions options, CachedVolume? volume)
    {
        _queue = new RequestQueue(scheduler, options);
        Volume = volume ?? new CachedVolume(options.WriteCache);
        Faults = options.Faults;
    }

    /// <summary>What goes wrong; rules may be added during a run.</summary>
    public FaultPlan Faults { get; }

    /// <summary>The paths of all files, in ordinal order.</summary>
    public IReadOnlyList<string> Paths => [.. Volume.Names.Keys];

    internal CachedVolume Volume { get; }

    /// <summary>Puts a file there, replacing what has the name; bytes and name are durable at once.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content)
    {
        var sparse = new SparseContent();
        sparse.Write(0, content);
        Volume.AddDurable(GetRealPath(path), sparse);
    }

    /// <summary>Makes <paramref name="path"/> a symbolic link, durable at once. A relative target starts at the link's directory.</summary>
    public void AddLink(string path, string target) => _links[SimulatedPath.Resolve(path, _links)] = target;

    /// <summary>All bytes of a file as reads see them now; takes no virtual time and meets no fault.</summary>
    /// <exception cref="BlockLayerException">NotFound.</exception>
    public byte[] ReadFile(string path)
    {
        SparseContent content = Find(GetRealPath(path)).Current;
        byte[] bytes = new byte[content.Length];
        content.Read(0, bytes);
        return bytes;
    }

    /// <summary>Gives a file a device of its own with this latency, instead of a share of the provider's; for requests from now on.</summary>
    public void SetLatency(string path, LatencyModel model) => _queue.SetLatency(GetRealPath(path), model);

    /// <inheritdoc/>
    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        if (!options.Writable && options.Mode != StorageOpenMode.OpenExisting)
        {
            throw new ArgumentException("A file that is created has to be writable.", nameof(options));
        }

        cancellationToken.ThrowIfCancellationRequested();
        string realPath = GetRealPath(path);
        StorageOperations kind = options.Mode == StorageOpenMode.OpenExisting ? StorageOperations.Open : StorageOperations.Open | StorageOperations.Create;
        SimulatedDisk? disk = null;
        await _queue.SubmitAsync(new StorageCall(kind, realPath, 0, 0), fault =>
        {
            ThrowIfFailing(fault, new StorageCall(StorageOperations.Open, path, 0, 0));
            disk = Open(path, realPath, options);
        }).ConfigureAwait(false);
        return disk!;
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path)
    {
        string realPath = GetRealPath(path);
        if (Volume.Names.TryGetValue(realPath, out CachedFile? file))
        {
            return new StorageFileInfo(new StorageIdentity(_device, file.Inode), StorageFileKind.Regular, file.Current.Length);
        }

        return IsDirectory(realPath) ? new StorageFileInfo(new StorageIdentity(_device, 0), StorageFileKind.Directory, 0) : null;
    }

    /// <inheritdoc/>
    public override string GetRealPath(string path) => SimulatedPath.Resolve(path, _links);

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory)
    {
        string name = GetRealPath(directory);
        return
        [
            .. Volume.Names.Keys.Concat(_links.Keys)
                .Where(file => SimulatedPath.GetDirectory(file) == name)
                .Order(StringComparer.Ordinal)
                .Select(file => Path.Combine(directory, file[(file.LastIndexOf('/') + 1)..])),
        ];
    }

    /// <inheritdoc/>
    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
    {
        string from = GetRealPath(path);
        string to = GetRealPath(newPath);
        return ChangeNamesAsync(StorageOperations.Rename, from, () => Rename(from, to), cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
    {
        string realPath = GetRealPath(path);
        return ChangeNamesAsync(StorageOperations.Delete, realPath, () => Delete(realPath), cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken)
    {
        string directory = SimulatedPath.GetDirectory(GetRealPath(path));
        long point = Volume.BeginFlushDirectory();
        return ChangeNamesAsync(StorageOperations.FlushDirectory, directory, () => Volume.EndFlushDirectory(directory, point), cancellationToken);
    }

    private ValueTask ChangeNamesAsync(StorageOperations kind, string path, Action change, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        var call = new StorageCall(kind, path, 0, 0);
        return _queue.AfterBreakpoint(call, () => _queue.SubmitAsync(call, fault =>
        {
            if (fault?.Effect is FaultEffect.Fail or FaultEffect.FailPartly)
            {
                throw fault.CreateError(call);
            }

            if (fault?.Effect != FaultEffect.Lie)
            {
                change();
            }

            ThrowIfFailing(fault, call);
        }));
    }

    private static void ThrowIfFailing(FaultRule? fault, StorageCall call)
    {
        if (fault?.Effect is FaultEffect.Fail or FaultEffect.FailPartly or FaultEffect.FailAfterwards)
        {
            throw fault.CreateError(call);
        }
    }

    private SimulatedDisk Open(string path, string realPath, StorageOpenOptions options)
    {
        bool exists = Volume.Names.TryGetValue(realPath, out CachedFile? file);
        if (IsDirectory(realPath))
        {
            throw new BlockLayerException(BlockErrorKind.Denied, "The file is a directory; allowed are regular files and block devices.") { Path = path };
        }

        if (!exists && options.Mode == StorageOpenMode.OpenExisting)
        {
            throw NotFound(path);
        }

        if (exists && options.Mode == StorageOpenMode.CreateNew)
        {
            throw new BlockLayerException(BlockErrorKind.Conflict, "Open failed: the file exists.") { Path = path };
        }

        file ??= Volume.Create(realPath);
        var identity = new StorageIdentity(_device, file.Inode);
        ImageLockTable.Entry? imageLock = options.Lock is { } wanted ? _locks.Take(identity, wanted, path) : null;
        if (exists && options.Mode == StorageOpenMode.CreateOrTruncate)
        {
            PendingOperation truncate = file.Issue(new StorageCall(StorageOperations.SetLength, realPath, Offset: 0, Length: 0), data: default);
            file.Complete(truncate, SectorPattern.All);
        }

        return new SimulatedDisk(_queue, file, path, realPath, identity, isReadOnly: !options.Writable, imageLock);
    }

    /// <summary>The files that somebody holds locked, for a test that expects nobody to.</summary>
    internal IEnumerable<string> LockedFiles => Volume.Names.Where(name => _locks.IsHeld(new StorageIdentity(_device, name.Value.Inode))).Select(name => name.Key);

    private void Rename(string from, string to)
    {
        Find(from);
        if (from != to)
        {
            Volume.Rename(from, to);
        }
    }

    private void Delete(string realPath)
    {
        Find(realPath);
        Volume.Delete(realPath);
    }

    private bool IsDirectory(string realPath)
    {
        string prefix = realPath == "/" ? realPath : realPath + "/";
        return realPath == "/" || Volume.Names.Keys.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));
    }

    private CachedFile Find(string realPath) => Volume.Names.TryGetValue(realPath, out CachedFile? file) ? file : throw NotFound(realPath);

    private static BlockLayerException NotFound(string path) => new(BlockErrorKind.NotFound, "There is no such file.") { Path = path };
}
