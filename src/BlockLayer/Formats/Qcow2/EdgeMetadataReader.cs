using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Reads tables through a node's edge to its file.</summary>
internal sealed class EdgeMetadataReader(BlockEdge file) : IMetadataReader
{
    /// <inheritdoc/>
    public long Length => file.Child.Length;

    /// <inheritdoc/>
    public ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => file.ReadPaddedAsync(offset, buffer, cancellationToken);
}
