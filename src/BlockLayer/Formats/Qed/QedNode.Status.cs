using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

// Status, as the tables have it.
internal sealed partial class QedNode
{
    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ClusterMapping mapping = await _tables.LookupAsync(offset, length, cancellationToken).ConfigureAwait(false);
        return mapping.Kind switch
        {
            ClusterKind.Data => BlockStatus.DataAt(mapping.Length, mapping.Host.Value, this),
            ClusterKind.Zero => BlockStatus.Zeroes(mapping.Length, this),
            _ => BlockStatus.Unallocated(mapping.Length),
        };
    }
}
