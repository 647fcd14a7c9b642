using BlockLayer.Primitives;

namespace BlockLayer.Graph;

/// <summary>A format node that can bring its tables back into agreement with each other.</summary>
internal interface IRepairableImage : ICheckableImage
{
    /// <summary>
    /// Checks the image, repairs what was found and checks it again. No guest byte that could be read before reads differently afterwards, and after a crash
    /// another repair finishes the work.
    /// </summary>
    /// <param name="mode">How much is changed.</param>
    /// <param name="progress">Told how far all of it is, in bytes of the virtual disk.</param>
    /// <param name="cancellationToken">Honoured until the first change.</param>
    /// <exception cref="Errors.BlockLayerException">ReadOnly: the node was not opened for a repair; NoSpace: there is no room for copies or new tables; Io.</exception>
    ValueTask<ImageRepairReport> RepairAsync(RepairMode mode, IProgress<ByteProgress>? progress, CancellationToken cancellationToken);
}
