namespace BlockLayer.Formats.Qcow2;

/// <summary>Byte position on the virtual disk.</summary>
internal readonly record struct GuestOffset(long Value)
{
    /// <summary>The guest cluster that contains this position.</summary>
    public GuestCluster Cluster(ClusterGeometry g) => new(Value >> g.ClusterBits);

    /// <summary>Bytes between the start of the cluster and this position.</summary>
    public int OffsetInCluster(ClusterGeometry g) => (int)(Value & g.ClusterMask);

    /// <summary>The position <paramref name="bytes"/> further.</summary>
    /// <exception cref="OverflowException">The result exceeds 2^63-1.</exception>
    public GuestOffset Plus(long bytes) => new(checked(Value + bytes));

    /// <inheritdoc/>
    public override string ToString() => $"guest 0x{Value:x}";
}
