using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>A file whose making was begun and has failed.</summary>
internal static class BegunFile
{
    /// <summary>Removes it. A device is no file that anybody makes: it stays, whatever it holds by now.</summary>
    internal static async ValueTask RemoveAsync(StorageProvider files, string path)
    {
        if (files.GetInfo(path)?.Kind != StorageFileKind.BlockDevice)
        {
            await files.DeleteAsync(path, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Removes all that can be removed of several, and tells the others beside the reason why their making failed (<see cref="Aftermath.ThrowIfLeft"/>).</summary>
    internal static async ValueTask RemoveAfterAsync(Exception reason, StorageProvider files, params string[] paths)
    {
        var aftermath = new Aftermath();
        foreach (string path in paths)
        {
            await aftermath.DoAsync(() => RemoveAsync(files, path)).ConfigureAwait(false);
        }

        aftermath.ThrowIfLeft(reason);
    }
}
