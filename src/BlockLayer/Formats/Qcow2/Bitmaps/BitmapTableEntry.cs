namespace BlockLayer.Formats.Qcow2;

/// <summary>Where one cluster of a bitmap is. qcow2 spec, "Bitmap table".</summary>
internal readonly record struct BitmapTableEntry(ulong Raw)
{
    /// <summary>Bytes on disk, big-endian.</summary>
    public const int Size = sizeof(ulong);

    private const ulong AllOnesFlag = 1;
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong ReservedMask = 0xff00_0000_0000_01fe;

    /// <summary>All bits of the cluster are zero.</summary>
    public static BitmapTableEntry Zeroes => default;

    /// <summary>All bits of the cluster are one.</summary>
    public static BitmapTableEntry Ones => new(AllOnesFlag);

    /// <summary>The bits are in a cluster of their own.</summary>
    public static BitmapTableEntry ForCluster(HostOffset cluster) => new((ulong)cluster.Value);

    /// <summary>True when the bits are in no cluster, and all of them are one.</summary>
    public bool IsOnes => Raw == AllOnesFlag;

    /// <summary>Where the cluster starts; 0 when all its bits are the same.</summary>
    public HostOffset HostOffset => new((long)(Raw & OffsetMask));

    /// <summary>True when no reserved bit is set and the offset is a cluster's.</summary>
    public bool IsValid(ClusterGeometry g)
        => (Raw & ReservedMask) == 0 && (HostOffset.Value == 0 || (HostOffset.IsAligned(g) && (Raw & AllOnesFlag) == 0));
}
