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
}
