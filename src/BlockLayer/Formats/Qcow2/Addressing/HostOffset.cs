namespace BlockLayer.Formats.Qcow2;

/// <summary>Byte position in the image file.</summary>
internal readonly record struct HostOffset(long Value)
{
    /// <summary>The cluster at this position; null if the position is inside a cluster, so no bits are lost silently.</summary>
    public HostCluster? ExactCluster(ClusterGeometry g) => (Value & g.ClusterMask) == 0 ? new(Value >> g.ClusterBits) : null;

    /// <summary>The cluster that contains this position.</summary>
    public HostCluster Cluster(ClusterGeometry g) => new(Value >> g.ClusterBits);

    /// <summary>True when a cluster starts here.</summary>
    public bool IsAligned(ClusterGeometry g) => (Value & g.ClusterMask) == 0;

    /// <summary>The position <paramref name="bytes"/> further.</summary>
    /// <exception cref="OverflowException">The result exceeds 2^63-1.</exception>
    public HostOffset Plus(long bytes) => new(checked(Value + bytes));

    /// <inheritdoc/>
    public override string ToString() => $"host 0x{Value:x}";
}
