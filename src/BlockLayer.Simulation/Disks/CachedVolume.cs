namespace BlockLayer.Simulation;

/// <summary>
/// The state behind simulated storage: files with volatile caches, and names that are volatile until their directory is flushed. It knows nothing of time,
/// schedulers or faults; those decide only when and whether its methods are called.
/// </summary>
/// <remarks>
/// Paths are absolute and normalised (<see cref="SimulatedPath"/>). <see cref="Names"/> is what lookups see, <see cref="DurableNames"/> what survives for
/// certain. A change of names becomes durable, in order, once every directory it concerns was flushed after it.
/// </remarks>
internal sealed class CachedVolume(WriteCacheMode writeCache)
{
    private ulong _lastInode;
    private long _lastOperation;

    internal WriteCacheMode WriteCache { get; } = writeCache;

    internal SortedDictionary<string, CachedFile> Names { get; } = new(StringComparer.Ordinal);

    internal SortedDictionary<string, CachedFile> DurableNames { get; } = new(StringComparer.Ordinal);

    /// <summary>Changes of names that are not durable, in order.</summary>
    internal List<PendingNameChange> NameChanges { get; } = [];

    /// <summary>How many operations have completed.</summary>
    internal long CompletionCount { get; private set; }

    /// <summary>Called just before something becomes durable: the last moment at which all of it may still be lost.</summary>
    internal Action? BeforeDurabilityChange { get; set; }

    /// <summary>Called after an operation was issued and after one completed.</summary>
    internal Action? AfterOperation { get; set; }

    internal long NextCompletion() => ++CompletionCount;

    internal void NotifyDurabilityChange() => BeforeDurabilityChange?.Invoke();

    internal void NotifyOperation() => AfterOperation?.Invoke();

    /// <summary>Puts a file there with all its bytes durable.</summary>
    internal CachedFile AddDurable(string path, SparseContent content, ulong? inode = null)
    {
        CachedFile file = CreateFile(content, inode);
        Names[path] = file;
        DurableNames[path] = file;
        return file;
    }

    internal CachedFile Create(string path)
    {
        CachedFile file = CreateFile(new SparseContent(), inode: null);
        ChangeName(new StorageCall(StorageOperations.Create, path, 0, 0), file, newPath: null);
        return file;
    }

    internal void Rename(string path, string newPath)
        => ChangeName(new StorageCall(StorageOperations.Rename, path, 0, 0), Names[path], newPath);

    internal void Delete(string path)
        => ChangeName(new StorageCall(StorageOperations.Delete, path, 0, 0), Names[path], newPath: null);

    /// <summary>The point up to which a directory flush that begins now covers changes of names.</summary>
    internal long BeginFlushDirectory() => _lastOperation;

    /// <summary>Ends a flush of a directory that began at <paramref name="point"/>.</summary>
    internal void EndFlushDirectory(string directory, long point)
    {
        NotifyDurabilityChange();
        foreach (PendingNameChange change in NameChanges)
        {
            if (change.Operation.Number <= point)
            {
                change.UnflushedDirectories.Remove(directory);
            }
        }

        NameChanges.RemoveAll(change =>
        {
            bool durable = change.UnflushedDirectories.Count == 0;
            if (durable)
            {
                Apply(change.Operation, DurableNames);
            }

            return durable;
        });
    }

    /// <summary>Does to <paramref name="names"/> what a change of names does.</summary>
    internal static void Apply(PendingOperation change, IDictionary<string, CachedFile> names)
    {
        switch (change.Call.Kind)
        {
            case StorageOperations.Create:
                names[change.Call.Path] = change.File!;
                break;
            case StorageOperations.Rename:
                names.Remove(change.Call.Path);
                names[change.NewPath!] = change.File!;
                break;
            default:
                names.Remove(change.Call.Path);
                break;
        }
    }

    internal PendingOperation CreateOperation(StorageCall call, CachedFile? file, ReadOnlyMemory<byte> data, string? newPath)
        => new() { Number = ++_lastOperation, Call = call, File = file, Data = data.IsEmpty ? null : new(call.Offset, data), NewPath = newPath };

    private CachedFile CreateFile(SparseContent content, ulong? inode)
    {
        ulong number = inode ?? (_lastInode + 1);
        _lastInode = Math.Max(_lastInode, number);
        return new CachedFile(this, number, content);
    }

    private void ChangeName(StorageCall call, CachedFile file, string? newPath)
    {
        PendingOperation operation = CreateOperation(call, file, data: default, newPath);
        operation.IsCompleted = true;
        operation.CompletedAt = NextCompletion();
        Apply(operation, Names);
        if (WriteCache == WriteCacheMode.WriteThrough)
        {
            NotifyDurabilityChange();
            Apply(operation, DurableNames);
            return;
        }

        var directories = new List<string> { SimulatedPath.GetDirectory(call.Path) };
        if (newPath is not null && SimulatedPath.GetDirectory(newPath) is { } other && other != directories[0])
        {
            directories.Add(other);
        }

        NameChanges.Add(new PendingNameChange(operation, directories));
        NotifyOperation();
    }
}
