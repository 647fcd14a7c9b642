namespace BlockLayer.Formats.Qcow2;

/// <summary>Number of a cluster of the virtual disk, counted from 0.</summary>
internal readonly record struct GuestCluster(long Index)
{
    /// <summary>Where the cluster starts on the virtual disk.</summary>
    public GuestOffset Offset(ClusterGeometry g) => new(Index << g.ClusterBits);

    /// <summary>The cluster <paramref name="clusters"/> further.</summary>
    public GuestCluster Plus(long clusters) => new(Index + clusters);

    /// <summary>Which L1 entry leads to this cluster. May lie past the end of the L1 table; the caller compares.</summary>
    public long L1Index(ClusterGeometry g) => Index >> g.L2Bits;

    /// <summary>Which entry of its L2 table maps this cluster.</summary>
    public int L2Index(ClusterGeometry g) => (int)(Index & (g.L2Entries - 1));

    /// <inheritdoc/>
    public override string ToString() => $"guest cluster {Index}";
}
