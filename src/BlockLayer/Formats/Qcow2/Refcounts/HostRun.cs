namespace BlockLayer.Formats.Qcow2;

/// <summary>Clusters one behind the other in the file.</summary>
/// <param name="First">The first.</param>
/// <param name="Count">How many; at least 1.</param>
/// <param name="Origin">What they hold.</param>
internal readonly record struct HostRun(HostCluster First, int Count, HostOrigin Origin = HostOrigin.Recycled);
