using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Room for copies behind everything in the file. Nothing that can be followed leads there, so no refcount has to be believed to use it, and what a crash leaves of it
/// belongs to nobody.
/// </summary>
/// <remarks>
/// Copies together are no longer than the file, and no longer than a bound: tables that lead to each other could ask for any amount. Whoever gets none goes on
/// sharing, under a refcount that says so.
/// </remarks>
internal sealed class AppendedRoom(BlockEdge file, ClusterGeometry g)
{
    private HostCluster _next = new(g.ClustersFor(file.Child.Length));
    private long _left = g.ClustersFor(Math.Min(file.Child.Length, Qcow2Limits.MaxRepairCopiesLength));

    /// <summary>Contiguous clusters; null when they would be more than a repair may take, or lie where no entry can lead to.</summary>
    public HostOffset? TryTake(long clusters)
    {
        if (clusters > _left || _next.Index + clusters > 1L << (Qcow2Limits.HostOffsetBits - g.ClusterBits))
        {
            return null;
        }

        _left -= clusters;
        HostCluster first = _next;
        _next = _next.Plus(clusters);
        return first.Offset(g);
    }
}
