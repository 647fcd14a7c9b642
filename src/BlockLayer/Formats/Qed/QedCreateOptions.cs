using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

/// <summary>How a QED image is created. A length that is no multiple of 512 bytes is rounded up, as qemu-img does.</summary>
public sealed record QedCreateOptions : ImageCreateOptions
{
    /// <summary>Bytes in a cluster: a power of two from 4 KiB to 64 MiB.</summary>
    public int ClusterSize { get; init; } = QedLimits.DefaultClusterSize;

    /// <summary>Clusters in an L1 or L2 table: a power of two from 2 to 16. The format knows 1 as well, which QEMU cannot open.</summary>
    public int TableSize { get; init; } = QedLimits.DefaultTableSize;
}
