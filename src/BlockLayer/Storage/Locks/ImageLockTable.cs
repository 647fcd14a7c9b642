namespace BlockLayer.Storage;

/// <summary>
/// Image locks where the operating system has none to offer: who in this process (or in this simulated machine) has which file open with which lock.
/// Same rule, same errors; other processes are not seen.
/// </summary>
internal sealed class ImageLockTable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<StorageIdentity, List<Entry>> _files = []; // guarded by _gate

    /// <summary>The table of this process.</summary>
    internal static ImageLockTable OfThisProcess { get; } = new();

    /// <summary>Takes a lock until the result is disposed.</summary>
    /// <exception cref="Errors.BlockLayerException">Conflict: an opener of the same file excludes it.</exception>
    internal Entry Take(StorageIdentity file, ImageLock wanted, string path)
    {
        lock (_gate)
        {
            if (!_files.TryGetValue(file, out List<Entry>? holders))
            {
                _files.Add(file, holders = []);
            }

            RequireCompatible(holders, wanted, path);
            var entry = new Entry(this, file, wanted);
            holders.Add(entry);
            return entry;
        }
    }

    /// <summary>True while somebody holds a lock on the file.</summary>
    internal bool IsHeld(StorageIdentity file)
    {
        lock (_gate)
        {
            return _files.ContainsKey(file);
        }
    }

    private static void RequireCompatible(IEnumerable<Entry> others, ImageLock wanted, string path)
    {
        foreach (Entry other in others)
        {
            wanted.RequireCompatible(other.Held, path);
        }
    }

    /// <summary>A lock that somebody holds, until it is disposed.</summary>
    internal sealed class Entry(ImageLockTable table, StorageIdentity file, ImageLock held) : IDisposable
    {
        /// <summary>What is held; guarded by the table's gate.</summary>
        internal ImageLock Held { get; private set; } = held;

        /// <summary>Holds another lock instead.</summary>
        /// <exception cref="Errors.BlockLayerException">Conflict: another opener of the file excludes it. The lock is what it was.</exception>
        internal void Change(ImageLock wanted, string path)
        {
            lock (table._gate)
            {
                RequireCompatible(table._files[file].Where(entry => entry != this), wanted, path);
                Held = wanted;
            }
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            lock (table._gate)
            {
                if (table._files.TryGetValue(file, out List<Entry>? holders) && holders.Remove(this) && holders.Count == 0)
                {
                    table._files.Remove(file);
                }
            }
        }
    }
}
