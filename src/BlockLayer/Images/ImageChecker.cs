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

    /// <summary>True when what a check finds in the image can be repaired here.</summary>
    public static bool CanRepair(BlockNode node) => node.SkipFilters() is IRepairableImage;

    /// <summary>
    /// Checks one image, repairs what was found, and checks it again. No guest byte that could be read before reads differently afterwards; after a crash in
    /// between, another repair finishes the work.
    /// </summary>
    /// <param name="node">The image, open for writing with <see cref="OpenPurpose.Repair"/>. Filters on top are looked through.</param>
    /// <param name="mode">How much is changed.</param>
    /// <param name="progress">Told how far all of it is, in bytes of the virtual disk.</param>
    /// <param name="cancellationToken">Honoured until the first change.</param>
    /// <exception cref="BlockLayerException">
    /// Unsupported: images of this format cannot be repaired; ReadOnly: it is not open for a repair; NoSpace: there is no room for copies or new tables; Io.
    /// </exception>
    public static ValueTask<ImageRepairReport> RepairAsync(
        BlockNode node,
        RepairMode mode,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        BlockNode image = node.SkipFilters();
        return image is IRepairableImage repairable
            ? repairable.RepairAsync(mode, progress, cancellationToken)
            : throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} has nothing to repair.") { Path = image.Path };
    }
}
