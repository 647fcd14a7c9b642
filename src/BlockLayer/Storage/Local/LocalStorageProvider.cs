using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// The files of this machine. On 64-bit Linux through the kernel's own calls: reads from the page cache are served at once, holes are found and punched,
/// copies stay in the kernel, and image locks exclude QEMU's programs and other processes. Elsewhere through the framework's file API: the same answers,
/// but files have no holes to speak of, image locks are seen by this process only, a directory cannot be flushed, and a pipe is recognised only after
/// it was opened, for which it may wait.
/// </summary>
public sealed class LocalStorageProvider : StorageProvider
{
    private readonly Platform _platform;

    internal LocalStorageProvider(Platform platform) => _platform = platform;

    /// <summary>The one there is.</summary>
    public static LocalStorageProvider Instance { get; } = new(Platform.Current);

    /// <inheritdoc/>
    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        if (!options.Writable && options.Mode != StorageOpenMode.OpenExisting)
        {
            throw new ArgumentException("A file that is created has to be writable.", nameof(options));
        }

        PlatformFile file = await Task.Run(() => _platform.Open(path, options), cancellationToken).ConfigureAwait(false);
        return new LocalFile(file, isReadOnly: !options.Writable);
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path) => _platform.GetInfo(path);

    /// <inheritdoc/>
    public override string GetRealPath(string path) => _platform.GetRealPath(path);

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory)
    {
        try
        {
            string[] files = Directory.GetFiles(directory);
            Array.Sort(files, StringComparer.Ordinal);
            return files;
        }
        catch (DirectoryNotFoundException error)
        {
            throw new BlockLayerException(BlockErrorKind.NotFound, "There is no such directory.", error) { Path = directory };
        }
        catch (UnauthorizedAccessException error)
        {
            throw new BlockLayerException(BlockErrorKind.Denied, "The directory may not be listed.", error) { Path = directory };
        }
        catch (IOException error)
        {
            throw new BlockLayerException(BlockErrorKind.Io, $"The directory cannot be listed: {error.Message}", error) { Path = directory };
        }
    }

    /// <inheritdoc/>
    public override async ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
        => await Task.Run(() => _platform.Rename(path, newPath), cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
        => await Task.Run(() => _platform.Delete(path), cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public override async ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken)
        => await Task.Run(() => _platform.FlushDirectory(path), cancellationToken).ConfigureAwait(false);
}
