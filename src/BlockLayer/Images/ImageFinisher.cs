using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>Turns overlays whose data is a raw file beside them (add-cow) into that raw file.</summary>
public static class ImageFinisher
{
    /// <summary>True when the image's format keeps its data in a file that can stand alone.</summary>
    public static bool CanFinish(BlockNode node) => node.SkipFilters() is IFinishableImage;

    /// <summary>
    /// Makes the data file the whole disk: checks that nothing is left to the backing file, flushes, and only then records it. Afterwards the data file is a plain
    /// raw disk that needs nothing else; the overlay still opens and shows the same. A pull without a base ends with this.
    /// </summary>
    /// <param name="node">The overlay; filters on top are looked through.</param>
    /// <param name="cancellationToken">Honoured until something is written.</param>
    /// <exception cref="BlockLayerException">
    /// Unsupported: the format keeps its data elsewhere, or clusters are left to the backing file, and how many. ReadOnly. Conflict: a job uses it. NoSpace, Io.
    /// </exception>
    public static ValueTask FinishAsync(BlockNode node, CancellationToken cancellationToken = default)
    {
        BlockNode image = node.SkipFilters();
        return image is IFinishableImage finishable
            ? finishable.FinishAsync(cancellationToken)
            : throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} keeps its data in the image itself.") { Path = image.Path };
    }
}
