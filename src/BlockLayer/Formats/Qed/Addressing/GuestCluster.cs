namespace BlockLayer.Formats.Qed;

/// <summary>Number of a cluster of the virtual disk, counted from 0.</summary>
internal readonly record struct GuestCluster(long Index)
{
    /// <summary>The cluster that holds the guest byte <paramref name="offset"/>.</summary>
    public static GuestCluster At(long offset, QedGeometry g) => new(offset >> g.ClusterBits);

    /// <summary>Guest offset of its first byte.</summary>
    public long Offset(QedGeometry g) => Index << g.ClusterBits;

    /// <summary>The cluster <paramref name="clusters"/> further.</summary>
    public GuestCluster Plus(long clusters) => new(Index + clusters);

    /// <summary>Which L1 entry leads to this cluster.</summary>
    public int L1Index(QedGeometry g) => (int)(Index >> g.TableBits);

    /// <summary>Which slice of all L2 slices of the disk, counted from 0, maps this cluster.</summary>
    public long SliceIndex(QedGeometry g) => Index >> g.SliceBits;

    /// <summary>Which entry of its slice maps this cluster.</summary>
    public int IndexInSlice(QedGeometry g) => (int)(Index & (g.SliceEntries - 1));

    /// <inheritdoc/>
    public override string ToString() => $"guest cluster {Index}";
}
