using BlockLayer.Errors;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>Creates empty images, durable on return: the file flushed, then its directory.</summary>
public sealed class ImageCreator
{
    private readonly FormatRegistry _formats;
    private readonly BlockEnvironment _environment;

    /// <summary>A creator that knows <paramref name="formats"/>.</summary>
    public ImageCreator(FormatRegistry formats, BlockEnvironment environment)
    {
        _formats = formats;
        _environment = environment;
    }

    /// <summary>Creates an image.</summary>
    /// <param name="path">The file; replaced if it exists, unless somebody uses it.</param>
    /// <param name="image">What to create.</param>
    /// <param name="policy">Which backing files may be opened to verify them.</param>
    /// <param name="cancellationToken">Honoured between steps.</param>
    /// <exception cref="ArgumentException">The format does not take what was asked for, or no length is known. Nothing was touched.</exception>
    /// <exception cref="OpenDeniedException">The backing file is not allowed by the policy. Nothing was touched.</exception>
    /// <exception cref="BlockLayerException">
    /// Conflict (a file is in use), NotFound, Denied (also: the image file of an add-cow overlay exists and holds something), NoSpace, Io,
    /// Unsupported (no such format), InvalidFormat (its backing or data file would be a file of its own). A file that was begun is removed again, also when the image
    /// was whole and its backing file cannot be closed; where that fails too, the message names it.
    /// </exception>
    public async ValueTask<ImageCreateOptions> CreateAsync(
        string path,
        NewImage image,
        OpenPolicy policy,
        CancellationToken cancellationToken = default)
    {
        ImageFormat format = _formats.Get(image.Format, path);
        if (image is not { Backing: { } reference, Verification: BackingVerification.Open })
        {
            return await CreateAsync(path, format, image, backing: null, policy, cancellationToken).ConfigureAwait(false);
        }

        BlockNode backing = await OpenBackingAsync(path, reference, image.Secrets, policy, cancellationToken).ConfigureAwait(false);
        ImageCreateOptions options;
        try
        {
            options = await CreateAsync(path, format, image, backing, policy, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception reason)
        {
            await Aftermath.UndoAsync(reason, backing.DisposeAsync).ConfigureAwait(false);
            throw;
        }

        try
        {
            await backing.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception reason)
        {
            await BegunFile.RemoveAfterAsync(reason, _environment.Files, FilesOf(path, format, options, policy)).ConfigureAwait(false);
            throw;
        }

        return options with { BackingNode = null };
    }

    private async ValueTask<ImageCreateOptions> CreateAsync(
        string path, ImageFormat format, NewImage image, BlockNode? backing, OpenPolicy policy, CancellationToken cancellationToken)
    {
        long length = image.Length ?? backing?.Length
            ?? throw new ArgumentException("The size of the virtual disk is needed: there is no backing file to take it from.", nameof(image));
        if (length < 0)
        {
            throw new ArgumentException($"The virtual disk would have {length} bytes; it can have 0 or more.");
        }

        var basic = new ImageCreateOptions { Length = length, Backing = image.Backing, BackingNode = backing, Passphrase = image.Secrets?.Find(_environment.Files, path) };
        ImageCreateOptions options = format.ParseCreateOptions(basic, image.Options);
        await format.ThrowIfCannotCreateAsync(path, options, _environment, cancellationToken).ConfigureAwait(false);
        if (DataFilePath(path, format, options, policy) is { } dataFile)
        {
            IEnumerable<string?> chain = backing is null ? [] : BackingChain.Images(backing).Select(static node => node.Path);
            ThrowIfTaken(path, dataFile, [path, .. chain, image.Backing is { } named ? ReferenceResolver.PathOf(path, named.Name) : null]);
            await WriteDataFileAsync(dataFile, options.Length, format.DataFileOf(options)!.Preallocation, cancellationToken).ConfigureAwait(false);
            try
            {
                await WriteAsync(path, format, options, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception reason)
            {
                await BegunFile.RemoveAfterAsync(reason, _environment.Files, dataFile).ConfigureAwait(false);
                throw;
            }
        }
        else
        {
            await WriteAsync(path, format, options, cancellationToken).ConfigureAwait(false);
        }

        return options;
    }

    // With what opens it: an add-cow overlay looks at the data that it is put on, both when it is made and when it is the backing file itself.
    private async ValueTask<BlockNode> OpenBackingAsync(string path, BackingReference reference, ImageSecrets? secrets, OpenPolicy policy, CancellationToken cancellationToken)
    {
        string target = ReferenceResolver.PathOf(path, PlainName(path, reference.Name, policy));
        if (_environment.Files.GetInfo(path) is { } existing && _environment.Files.GetInfo(target)?.Identity == existing.Identity)
        {
            throw new BlockLayerException(BlockErrorKind.InvalidFormat, "It would be its own backing file.") { Path = path };
        }

        var opener = new ImageOpener(_formats, _environment);
        return await opener.OpenAsync(target, new ImageOpenOptions { Format = reference.Format, Policy = policy, Secrets = secrets }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The path of the second file that a new image at <paramref name="path"/> keeps its data in; null for none.</summary>
    /// <exception cref="OpenDeniedException">Its name is no plain file name.</exception>
    internal static string? DataFilePath(string path, ImageFormat format, ImageCreateOptions options, OpenPolicy policy)
        => format.DataFileOf(options) is { } file ? ReferenceResolver.PathOf(path, PlainName(path, file.Name, policy)) : null;

    /// <summary>All files of a new image at <paramref name="path"/>.</summary>
    /// <exception cref="OpenDeniedException">As for <see cref="DataFilePath"/>.</exception>
    internal static string[] FilesOf(string path, ImageFormat format, ImageCreateOptions options, OpenPolicy policy)
        => DataFilePath(path, format, options, policy) is { } dataFile ? [path, dataFile] : [path];

    private static string PlainName(string path, string name, OpenPolicy policy)
        => ReferenceResolver.PlainName(name, policy.References)
            ?? throw new OpenDeniedException(
                policy.Name, name, $"Only plain file names are opened, no '{ReferenceResolver.ProtocolOf(name)}:' references; write './{name}' for a file of that name.")
            {
                Path = path,
            };

    // Locks keep files from being emptied that are open; this keeps those that are not, and says what is wrong.
    private void ThrowIfTaken(string path, string dataFile, IEnumerable<string?> files)
    {
        StorageProvider provider = _environment.Files;
        StorageIdentity? existing = provider.GetInfo(dataFile)?.Identity;
        if (provider.GetRealPath(dataFile) == provider.GetRealPath(path)
            || (existing is not null && files.Any(file => file is not null && provider.GetInfo(file)?.Identity == existing)))
        {
            throw new BlockLayerException(BlockErrorKind.InvalidFormat, $"Its data file '{dataFile}' would be the image itself or a file below it.") { Path = path };
        }
    }

    private async ValueTask WriteDataFileAsync(string dataFile, long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate, Lock = ImageLock.Writer };
        BlockStorage storage = await _environment.Files.OpenAsync(dataFile, how, cancellationToken).ConfigureAwait(false);
        try
        {
            var file = new StorageNode(storage, _environment);
            await using (file.ConfigureAwait(false))
            {
                var options = new RawCreateOptions { Length = length, Preallocation = preallocation == Preallocation.Metadata ? Preallocation.Off : preallocation };
                await RawFormat.Instance.CreateAsync(file, options, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception reason)
        {
            await BegunFile.RemoveAfterAsync(reason, _environment.Files, dataFile).ConfigureAwait(false);
            throw;
        }

        await _environment.Files.FlushDirectoryAsync(dataFile, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteAsync(string path, ImageFormat format, ImageCreateOptions options, CancellationToken cancellationToken)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate, Lock = ImageLock.Writer };
        BlockStorage storage = await _environment.Files.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
        try
        {
            var file = new StorageNode(storage, _environment);
            await using (file.ConfigureAwait(false))
            {
                await format.CreateAsync(file, options, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception reason)
        {
            await BegunFile.RemoveAfterAsync(reason, _environment.Files, path).ConfigureAwait(false);
            throw;
        }

        await _environment.Files.FlushDirectoryAsync(path, cancellationToken).ConfigureAwait(false);
    }
}
