using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>Writes the content of a node into an image file: a new one, which is removed again when that fails, or one that exists.</summary>
public sealed class ImageWriter
{
    private readonly FormatRegistry _formats;
    private readonly BlockEnvironment _environment;
    private readonly OpenPolicy _policy;

    /// <summary>A writer that knows <paramref name="formats"/>.</summary>
    /// <param name="formats">The formats that can be written.</param>
    /// <param name="environment">Where the files are.</param>
    /// <param name="policy">Which backing files a target may have.</param>
    public ImageWriter(FormatRegistry formats, BlockEnvironment environment, OpenPolicy policy)
    {
        _formats = formats;
        _environment = environment;
        _policy = policy;
    }

    /// <summary>The passphrases of encrypted targets, also of those that <see cref="WriteNewAsync"/> makes; null for none.</summary>
    public ImageSecrets? Secrets { get; init; }

    /// <summary>Creates an image, copies <paramref name="source"/> into it and makes both the content and the name durable.</summary>
    /// <param name="source">What to copy.</param>
    /// <param name="path">The file; replaced if it exists, unless somebody uses it.</param>
    /// <param name="image">What to create; without a length, as long as the source.</param>
    /// <param name="options">How to copy.</param>
    /// <param name="progress">Told how far the copy is.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="ArgumentException">The format does not take what was asked for.</exception>
    /// <exception cref="BlockLayerException">
    /// As for <see cref="ImageCreator"/> and <see cref="ImageConverter"/>; InvalidFormat: the file is one that the source is read from. The file that was begun is removed; where that fails too, the message names it.
    /// </exception>
    public async Task<ConvertResult> WriteNewAsync(
        BlockNode source,
        string path,
        NewImage image,
        ConvertOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        NewImage sized = image with
        {
            Length = image.Length ?? source.Length,
            Secrets = image.Secrets ?? Secrets,
        };
        // A file that exists is not replaced for nothing.
        SourceFiles.ThrowIfAmong(source, path);
        ImageConverter.ThrowIfNotWithinReach(source, options);
        ImageFormat format = _formats.Get(image.Format, path);
        if (options is { Bitmaps: not ConvertBitmaps.None })
        {
            _ = await BitmapCopy.PrepareAsync(source, options.Bitmaps, cancellationToken).ConfigureAwait(false);
            if (!format.StoresBitmaps)
            {
                throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.Format} stores no bitmaps; qcow2 does.") { Path = path };
            }
        }

        if (options is { Encoding: ConvertEncoding.Compressed } && !format.StoresCompressed)
        {
            throw ImageConverter.CannotCompress(image.Format, path);
        }

        ImageCreateOptions created = await new ImageCreator(_formats, _environment).CreateAsync(path, sized, _policy, cancellationToken).ConfigureAwait(false);
        try
        {
            return await WriteExistingAsync(source, path, image.Format, options, progress, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception reason)
        {
            string[] begun = ImageCreator.FilesOf(path, format, created, _policy);
            await BegunFile.RemoveAfterAsync(reason, _environment.Files, begun).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Copies <paramref name="source"/> into an image that exists and is at least as long, and flushes it.</summary>
    /// <param name="source">What to copy.</param>
    /// <param name="path">The file.</param>
    /// <param name="format">Its format.</param>
    /// <param name="options">How to copy; <see cref="ConvertOptions.Target"/> says what the image holds now.</param>
    /// <param name="progress">Told how far the copy is.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="BlockLayerException">
    /// As for <see cref="ImageOpener"/> and <see cref="ImageConverter"/>; InvalidFormat: the file is one that the source is read from. The image is incomplete then.
    /// </exception>
    public async Task<ConvertResult> WriteExistingAsync(
        BlockNode source,
        string path,
        string format,
        ConvertOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        SourceFiles.ThrowIfAmong(source, path);
        var open = new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite, Policy = _policy, Secrets = Secrets };
        BlockNode target = await new ImageOpener(_formats, _environment).OpenAsync(path, open, cancellationToken).ConfigureAwait(false);
        await using (target.ConfigureAwait(false))
        {
            return await ImageConverter.CopyAsync(source, target, options, progress, cancellationToken).ConfigureAwait(false);
        }
    }
}
