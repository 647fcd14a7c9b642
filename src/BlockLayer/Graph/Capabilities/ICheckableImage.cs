using BlockLayer.Primitives;

namespace BlockLayer.Graph;

/// <summary>A format node whose tables can be checked against each other.</summary>
internal interface ICheckableImage
{
    /// <summary>Checks the image; changes nothing on disk.</summary>
    /// <param name="progress">Told how far it is, in bytes of the virtual disk.</param>
    /// <param name="cancellationToken">Honoured between tables.</param>
    /// <exception cref="Errors.BlockLayerException">Io: a table cannot be read.</exception>
    ValueTask<ImageCheckReport> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken);
}
