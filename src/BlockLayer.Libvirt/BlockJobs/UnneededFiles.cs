using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Deletes the files that a commit has made useless, as its flag DELETE asks for.</summary>
internal static class UnneededFiles
{
    /// <summary>
    /// Deletes files, durably. One that somebody has open stays: another overlay stands on it. Block devices stay, and so do second files that hold an image's data.
    /// </summary>
    /// <returns>Null; or why the first of those that are left could not be deleted. The others were.</returns>
    internal static async ValueTask<LibvirtError?> DeleteAsync(StorageProvider files, IReadOnlyList<string> paths)
    {
        LibvirtError? first = null;
        foreach (string path in paths)
        {
            try
            {
                if (files.GetInfo(path) is { Kind: StorageFileKind.Regular })
                {
                    await DeleteAsync(files, path).ConfigureAwait(false);
                }
            }
            catch (Exception failure)
            {
                LibvirtError error = LibvirtError.Of(failure);
                first ??= error with { Message = $"'{path}' is not needed any more, and could not be deleted: {error.Message}" };
            }
        }

        return first;
    }

    // Locked for the time of the deletion: nobody reads it, and nobody begins to.
    private static async ValueTask DeleteAsync(StorageProvider files, string path)
    {
        var alone = new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer };
        BlockStorage file = await files.OpenAsync(path, alone, CancellationToken.None).ConfigureAwait(false);
        await using (file.ConfigureAwait(false))
        {
            await files.DeleteAsync(path, CancellationToken.None).ConfigureAwait(false);
        }

        await files.FlushDirectoryAsync(path, CancellationToken.None).ConfigureAwait(false);
    }
}
