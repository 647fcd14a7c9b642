namespace BlockLayer.Formats.Qcow2;

/// <summary>A reference to a cluster that was dropped, in quarantine until it may be counted down.</summary>
/// <param name="Cluster">The cluster.</param>
/// <param name="Drop">Number of the flush that makes the dropping entry durable; 0 when nothing on disk ever referred to the cluster.</param>
/// <param name="Epoch">The epoch of the node's gate in which the reference was dropped.</param>
internal readonly record struct ReleasedCluster(HostCluster Cluster, long Drop, long Epoch);
