namespace BlockLayer.Formats.Qcow2;

/// <summary>Number of a cluster of the image file, counted from 0 (the header).</summary>
internal readonly record struct HostCluster(long Index)
{
    /// <summary>Where the cluster starts.</summary>
    public HostOffset Offset(ClusterGeometry g) => new(Index << g.ClusterBits);

    /// <summary>The cluster <paramref name="clusters"/> further.</summary>
    public HostCluster Plus(long clusters) => new(Index + clusters);

    /// <summary>Which refcount table entry is responsible for this cluster.</summary>
    public long RefcountTableIndex(ClusterGeometry g) => Index >> g.RefcountBlockBits;

    /// <summary>Which entry of its refcount block holds this cluster's count.</summary>
    public int RefcountBlockIndex(ClusterGeometry g) => (int)(Index & (g.RefcountBlockEntries - 1));

    /// <inheritdoc/>
    public override string ToString() => $"host cluster {Index}";
}
