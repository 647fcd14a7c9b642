namespace BlockLayer.Storage;

/// <summary>
/// A directory tree of files: the local disk, memory, or a simulated machine. Names are paths in the provider's own syntax, <c>/</c> separated.
/// Everything that outlives a process goes through here, so that a simulation can lose it in a crash.
/// </summary>
public abstract class StorageProvider
{
    /// <summary>Opens or creates a file. The image locks named in the options are taken before this returns.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, Denied, Conflict (a lock is held by somebody else, or the file exists), ReadOnly, NoSpace, Io.</exception>
    public abstract ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken);

    /// <summary>What stands at <paramref name="path"/>, links followed; null if nothing does.</summary>
    public abstract StorageFileInfo? GetInfo(string path);

    /// <summary>
    /// The path with every link resolved and made absolute; for a missing file, its directory resolved. A missing directory is NotFound.
    /// </summary>
    public abstract string GetRealPath(string path);

    /// <summary>The files in a directory, links and devices included, other directories and what lies in them left out.</summary>
    /// <returns>Paths that begin with <paramref name="directory"/> as it was given, in ordinal order.</returns>
    /// <exception cref="Errors.BlockLayerException">NotFound: there is no such directory; Denied, Io.</exception>
    public abstract IReadOnlyList<string> ListFiles(string directory);

    /// <summary>Gives a file another name in the same file system, replacing what has it. Durable after <see cref="FlushDirectoryAsync"/>.</summary>
    public abstract ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken);

    /// <summary>Removes a file's name. Durable after <see cref="FlushDirectoryAsync"/>.</summary>
    public abstract ValueTask DeleteAsync(string path, CancellationToken cancellationToken);

    /// <summary>Makes creations, renames and deletions in the directory of <paramref name="path"/> durable.</summary>
    public abstract ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken);
}
