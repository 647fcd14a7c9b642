using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>The one door through which image files become nodes: locks, format, backing chain, all under one <see cref="OpenPolicy"/>.</summary>
public sealed class ImageOpener
{
    private static readonly Dictionary<string, string> s_noOptions = [];

    private readonly FormatRegistry _formats;
    private readonly BlockEnvironment _environment;

    /// <summary>An opener that knows <paramref name="formats"/>.</summary>
    public ImageOpener(FormatRegistry formats, BlockEnvironment environment)
    {
        _formats = formats;
        _environment = environment;
    }

    /// <summary>Opens an image and, unless told otherwise, the chain below it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How.</param>
    /// <param name="cancellationToken">Honoured between the images of the chain.</param>
    /// <returns>The top image, owned by the caller.</returns>
    /// <exception cref="ArgumentException">Writing without the image's locks, or to a snapshot; options that the format does not take.</exception>
    /// <exception cref="OpenDeniedException">
    /// An image refers to a file that the policy does not allow, or a format would have to be guessed, and nothing was read of that file; or the disk is too long.
    /// </exception>
    /// <exception cref="BlockLayerException">
    /// NotFound, Denied, Conflict (locked by somebody else), InvalidFormat (a loop, an unknown format, a bad header), Corrupt, Unsupported, Io.
    /// </exception>
    public async ValueTask<BlockNode> OpenAsync(string path, ImageOpenOptions options, CancellationToken cancellationToken = default)
    {
        if (options.Snapshot is not null && options.Access != NodeAccess.ReadOnly)
        {
            throw new ArgumentException("A snapshot can only be read; to write to it, apply it first.", nameof(options));
        }

        var resolver = new ReferenceResolver(_environment.Files, options.Policy, path);
        if (options.Format is null && options.Policy.Probing == ProbingPolicy.Never)
        {
            throw new OpenDeniedException(
                options.Policy.Name, path, $"The format of '{path}' is not given, and the policy {options.Policy.Name} does not allow to guess it; give the format.")
            {
                Path = path,
            };
        }

        StorageOpenOptions topFile = FileOptions(options.Access, options.Locking);
        StorageOpenOptions backingFile = FileOptions(NodeAccess.ReadOnly, options.Locking);
        Guess guess = options.Policy.Probing == ProbingPolicy.MagicOrRaw ? Guess.MagicOrRaw : Guess.Magic;
        BlockNode top = await OpenOneAsync(path, options.Format, guess, topFile, options, resolver, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfTooLong(top, path, options.Policy);
            BlockNode image = top;
            while (options.Backing == BackingMode.Open && image.BackingReference is { } reference)
            {
                cancellationToken.ThrowIfCancellationRequested();
                string target = resolver.Resolve(image, reference);
                string? format = reference.DecidedByMagic ? null : reference.Format;
                BlockNode backing;
                try
                {
                    backing = await OpenOneAsync(
                        target, format, reference.DecidedByMagic ? Guess.Magic : guess, backingFile, AsBacking(options), resolver, cancellationToken)
                        .ConfigureAwait(false);
                }
                catch (BlockLayerException error) when (error is not OpenDeniedException)
                {
                    throw new BlockLayerException(error.Kind, $"The backing file '{target}' of '{image.NodeName}' cannot be opened: {error.Message}", error)
                    {
                        NodeName = image.NodeName,
                        Path = target,
                        Offset = error.Offset,
                    };
                }

                image.AttachBacking(backing);
                image = backing;
            }

            for (BlockNode? above = top; above is not null; above = above.Backing)
            {
                if (above is IVerifiesBacking verifier && above.Backing is { } below)
                {
                    await verifier.VerifyBackingAsync(below, cancellationToken).ConfigureAwait(false);
                }
            }

            return top;
        }
        catch
        {
            await top.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static void ThrowIfTooLong(BlockNode top, string path, OpenPolicy policy)
    {
        if (top.Length > policy.MaxLength)
        {
            throw new OpenDeniedException(
                policy.Name,
                path,
                $"'{path}' is a disk of {ByteSize.Format(top.Length)}; the policy {policy.Name} opens disks of up to {ByteSize.Format(policy.MaxLength.Value)} (MaxLength).") { Path = path };
        }
    }

    /// <summary>What holds for the images below the top one too.</summary>
    private static ImageOpenOptions AsBacking(ImageOpenOptions options) => options with { Snapshot = null, FormatOptions = s_noOptions, Purpose = OpenPurpose.Use };

    private static StorageOpenOptions FileOptions(NodeAccess access, ImageLocking locking)
        => (access, locking) switch
        {
            (NodeAccess.ReadWrite, ImageLocking.Take) => new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer },
            (NodeAccess.ReadOnly, ImageLocking.Take) => new StorageOpenOptions { Lock = ImageLock.Reader },
            (NodeAccess.ReadOnly, _) => new StorageOpenOptions(),
            _ => throw new ArgumentException("An image is not opened for writing without its locks."),
        };

    private async ValueTask<BlockNode> OpenOneAsync(
        string path,
        string? format,
        Guess guess,
        StorageOpenOptions how,
        ImageOpenOptions options,
        ReferenceResolver resolver,
        CancellationToken cancellationToken)
    {
        try
        {
            ImageFormat? driver = format is null ? null : _formats.Get(format);
            BlockStorage storage = await _environment.Files.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
            StorageNode? file = null;
            try
            {
                resolver.ThrowIfNotAllowed(storage, path);
                file = new StorageNode(storage, _environment);
                bool isGiven = driver is not null;
                driver ??= await RecogniseAsync(file, guess, cancellationToken).ConfigureAwait(false);
                driver = driver.WithOpenOptions(options.FormatOptions);
                if (options.Snapshot is not null && !driver.SupportsSnapshots)
                {
                    throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {driver.Name} has no internal snapshots, so there is no '{options.Snapshot}' to show.");
                }

                var context = new FormatOpenContext
                {
                    NodeName = path,
                    Access = how.Writable ? NodeAccess.ReadWrite : NodeAccess.ReadOnly,
                    Snapshot = options.Snapshot,
                    TableCacheLength = options.TableCacheLength,
                    DataFile = options.DataFile,
                    Passphrase = options.Secrets?.Find(_environment.Files, path),
                    OpenDataFile = (name, token) => OpenDataFileAsync(path, name, how, resolver, token),
                    RuledOut = isGiven ? null : _formats,
                    Purpose = options.Purpose,
                };
                return await driver.OpenAsync(file, context, cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                await (file?.DisposeAsync() ?? storage.DisposeAsync()).ConfigureAwait(false);
                throw;
            }
        }
        catch (BlockLayerException error) when (error.Path is null)
        {
            throw error.WithPath(path);
        }
    }

    private async ValueTask<BlockNode> OpenDataFileAsync(
        string image,
        string name,
        StorageOpenOptions how,
        ReferenceResolver resolver,
        CancellationToken cancellationToken)
    {
        string path = resolver.ResolveDataFile(image, name);
        try
        {
            BlockStorage storage = await _environment.Files.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
            try
            {
                resolver.ThrowIfDataFileNotAllowed(storage, path);
                var context = new FormatOpenContext { NodeName = path, Access = how.Writable ? NodeAccess.ReadWrite : NodeAccess.ReadOnly };
                return await _formats.Get("raw").OpenAsync(new StorageNode(storage, _environment), context, cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                await storage.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (BlockLayerException error) when (error is not OpenDeniedException)
        {
            throw new BlockLayerException(error.Kind, $"The data file '{path}' of '{image}' cannot be opened: {error.Message}", error)
            {
                NodeName = image,
                Path = path,
                Offset = error.Offset,
            };
        }
    }

    private async ValueTask<ImageFormat> RecogniseAsync(BlockNode file, Guess guess, CancellationToken cancellationToken)
    {
        using PooledBuffer head = _environment.Buffers.Rent((int)Math.Min(ImageFormat.ProbeLength, file.Length));
        await file.ReadAsync(0, head.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        if (_formats.Probe(head.Span) is { } format)
        {
            return format;
        }

        return guess == Guess.MagicOrRaw
            ? _formats.Get("raw")
            : throw new BlockLayerException(
                BlockErrorKind.InvalidFormat,
                "It does not start with the magic of a known format, and raw is never guessed; if it is a raw disk, say so (-f raw).")
            {
                Path = file.Path,
            };
    }

    /// <summary>What may be concluded where a format is neither given nor recorded.</summary>
    private enum Guess
    {
        Magic,
        MagicOrRaw,
    }
}
