using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>
/// Stands between a file and its user, where a <see cref="HookedStorageProvider"/> puts it: it sees every write, flush, change of a lock and close, and decides whether, when and in
/// which order they reach the file. Without an override they do at once.
/// </summary>
public abstract class StorageHook
{
    /// <summary>The user writes.</summary>
    public virtual ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        => file.WriteAsync(offset, data, cancellationToken);

    /// <summary>The user flushes.</summary>
    public virtual ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken) => file.FlushAsync(cancellationToken);

    /// <summary>The user changes the lock that it holds.</summary>
    public virtual ValueTask ChangeLockAsync(BlockStorage file, ImageLock wanted) => file.ChangeLockAsync(wanted);

    /// <summary>The user closes the file.</summary>
    public virtual ValueTask CloseAsync(BlockStorage file) => file.DisposeAsync();
}
