using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>A small file that is only ever read and replaced as a whole, so that a crash leaves the old content or the new.</summary>
internal sealed class WholeFile(StorageProvider files, string path)
{
    internal string Path { get; } = path;

    /// <summary>
    /// The content; null where there is no file. It is durable then: whoever replaced it may have been killed before that was so, and what is read here is acted upon.
    /// </summary>
    /// <exception cref="LibvirtException">InvalidDomainSnapshot: it is longer than <paramref name="maxLength"/> bytes.</exception>
    /// <exception cref="Errors.BlockLayerException">It cannot be read, or made durable.</exception>
    internal async ValueTask<byte[]?> ReadAsync(int maxLength, CancellationToken cancellationToken)
    {
        if (files.GetInfo(Path) is null)
        {
            return null;
        }

        await files.FlushDirectoryAsync(Path, cancellationToken).ConfigureAwait(false); // the bytes were flushed before they were given this name
        BlockStorage file = await files.OpenAsync(Path, new StorageOpenOptions(), cancellationToken).ConfigureAwait(false);
        await using (file.ConfigureAwait(false))
        {
            if (file.Length > maxLength)
            {
                throw new LibvirtException(
                    LibvirtErrorCode.InvalidDomainSnapshot,
                    LibvirtErrorDomain.DomainSnapshot,
                    $"'{Path}' has {file.Length} bytes; at most {maxLength} are read.");
            }

            byte[] bytes = new byte[file.Length];
            await file.ReadAsync(0, bytes, cancellationToken).ConfigureAwait(false);
            return bytes;
        }
    }

    /// <summary>Replaces the content, durably on return. After a failure the file has the old content or the new.</summary>
    /// <exception cref="Errors.BlockLayerException">It cannot be written.</exception>
    internal async ValueTask ReplaceAsync(byte[] bytes, CancellationToken cancellationToken)
    {
        string beside = Path + ".new"; // left over after a crash, it is begun anew by the next change
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        BlockStorage file = await files.OpenAsync(beside, how, cancellationToken).ConfigureAwait(false);
        await using (file.ConfigureAwait(false))
        {
            await file.WriteAsync(0, bytes, cancellationToken).ConfigureAwait(false);
            await file.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        await files.RenameAsync(beside, Path, cancellationToken).ConfigureAwait(false);
        await files.FlushDirectoryAsync(Path, cancellationToken).ConfigureAwait(false);
    }
}
