using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Removes files that nothing needs any more.</summary>
internal static class FileRemoval
{
    /// <summary>Removes a file, durably; a device stays, and what is not there need not be removed. Can be done again.</summary>
    /// <exception cref="BlockLayerException">It cannot be removed, or that cannot be made durable.</exception>
    internal static async ValueTask RemoveAsync(StorageProvider files, string path, CancellationToken cancellationToken)
    {
        if (files.GetInfo(path) is { Kind: StorageFileKind.Regular })
        {
            await files.DeleteAsync(path, cancellationToken).ConfigureAwait(false);
        }

        try
        {
            await files.FlushDirectoryAsync(path, cancellationToken).ConfigureAwait(false); // also where a crash left it undone
        }
        catch (BlockLayerException error) when (error.Kind == BlockErrorKind.NotFound)
        {
            // The folder is gone too.
        }
    }
}
