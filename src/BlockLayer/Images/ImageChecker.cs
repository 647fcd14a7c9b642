using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>Checks images, whatever their format.</summary>
public static class ImageChecker
{
    /// <summary>True when the image's format has tables that can contradict each other.</summary>
    public static bool CanCheck(BlockNode node) => node.SkipFilters() is ICheckableImage;

    /// <summary>Checks one image, not what lies below it. Changes nothing on disk.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="progress">Told how far the check is, in bytes of the virtual disk.</param>
    /// <param name="cancellationToken">Honoured between tables.</param>
    /// <exception cref="BlockLayerException">Unsupported: the format has nothing to check; Io: a table cannot be read.</exception>
    public static ValueTask<ImageCheckReport> CheckAsync(
        BlockNode node,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        BlockNode image = node.SkipFilters();
        return image is ICheckableImage checkable
            ? checkable.CheckAsync(progress, cancellationToken)
            : throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} has nothing to check.") { Path = image.Path };
    }
}
