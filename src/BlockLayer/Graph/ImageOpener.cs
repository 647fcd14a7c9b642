using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>The one door through which image files become nodes: locks, format, backing chain, all under one <see cref="OpenPolicy"/>.</summary>
public sealed class ImageOpener
{
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
    /// <exception cref="OpenDeniedException">An image refers to a file that the policy does not allow; nothing of that file was opened.</exception>
    /// <exception cref="BlockLayerException">
    /// NotFound, Denied, Conflict (locked by somebody else), InvalidFormat (a loop, an unknown format, a bad header), Corrupt, Unsupported, Io.
    /// </exception>
    public async ValueTask<BlockNode> OpenAsync(string path, ImageOpenOptions options, CancellationToken cancellationToken = default)
    {
        var resolver = new ReferenceResolver(_environment.Files, options.Policy, path);
        BlockNode top = await OpenOneAsync(path, options.Format, options.Access, resolver, DepthInChain.Top, cancellationToken).ConfigureAwait(false);
        try
        {
            BlockNode image = top;
            while (options.Backing == BackingMode.Open && image.BackingReference is { } reference)
            {
                cancellationToken.ThrowIfCancellationRequested();
                string target = resolver.Resolve(image, reference);
                string? format = reference.DecidedByMagic ? null : reference.Format;
                DepthInChain depth = reference.DecidedByMagic ? DepthInChain.DecidedByMagic : DepthInChain.Backing;
                BlockNode backing;
                try
                {
                    backing = await OpenOneAsync(target, format, NodeAccess.ReadOnly, resolver, depth, cancellationToken).ConfigureAwait(false);
                }
                catch (BlockLayerException error) when (error is not OpenDeniedException && error.Path == target)
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

            return top;
        }
        catch
        {
            await top.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask<BlockNode> OpenOneAsync(
        string path,
        string? format,
        NodeAccess access,
        ReferenceResolver resolver,
        DepthInChain depth,
        CancellationToken cancellationToken)
    {
        bool writable = access == NodeAccess.ReadWrite;
        BlockStorage storage = await _environment.Files.OpenAsync(
            path,
            new StorageOpenOptions { Writable = writable, Lock = writable ? ImageLock.Writer : ImageLock.Reader },
            cancellationToken).ConfigureAwait(false);
        var file = new StorageNode(storage, _environment);
        try
        {
            resolver.ThrowIfOpenAbove(storage, path);
            ImageFormat driver = format is null
                ? await RecogniseAsync(file, resolver.Policy, depth, cancellationToken).ConfigureAwait(false)
                : _formats.Get(format);
            var context = new FormatOpenContext { NodeName = path, Access = access };
            return await driver.OpenAsync(file, context, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockLayerException error) when (error.Path is null)
        {
            await file.DisposeAsync().ConfigureAwait(false);
            throw error.WithPath(path);
        }
        catch
        {
            await file.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask<ImageFormat> RecogniseAsync(BlockNode file, OpenPolicy policy, DepthInChain depth, CancellationToken cancellationToken)
    {
        bool allowed = depth switch
        {
            DepthInChain.DecidedByMagic => true,
            DepthInChain.Top => policy.Probing != ProbingPolicy.Never,
            _ => policy.Probing is ProbingPolicy.AllByMagic or ProbingPolicy.MagicOrRaw,
        };
        if (!allowed)
        {
            throw new OpenDeniedException(
                policy.Name,
                file.NodeName,
                $"The format of '{file.NodeName}' is neither given nor recorded, and the policy {policy.Name} does not allow to guess it; give the format, or record it in the overlay.")
            {
                Path = file.Path,
            };
        }

        using PooledBuffer head = _environment.Buffers.Rent((int)Math.Min(ImageFormat.ProbeLength, file.Length));
        await file.ReadAsync(0, head.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        if (_formats.Probe(head.Span) is { } format)
        {
            return format;
        }

        return policy.Probing == ProbingPolicy.MagicOrRaw && depth != DepthInChain.DecidedByMagic
            ? _formats.Get("raw")
            : throw new BlockLayerException(
                BlockErrorKind.InvalidFormat,
                "It does not start with the magic of a known format, and raw is never guessed; if it is a raw disk, say so (-f raw).") { Path = file.Path };
    }

    private enum DepthInChain
    {
        Top,
        Backing,
        DecidedByMagic,
    }
}
