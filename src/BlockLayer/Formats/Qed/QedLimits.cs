namespace BlockLayer.Formats.Qed;

/// <summary>Every limit of the format and of this implementation, with its unit and source.</summary>
internal static class QedLimits
{
    /// <summary>Bytes; qed_spec, "Header": cluster_size is a power of two in [2^12, 2^26].</summary>
    internal const int MinClusterSize = 1 << 12;

    /// <summary>Bytes; as <see cref="MinClusterSize"/>.</summary>
    internal const int MaxClusterSize = 1 << 26;

    /// <summary>Bytes; what qemu-img creates unless told otherwise.</summary>
    internal const int DefaultClusterSize = 1 << 16;

    /// <summary>Clusters; qed_spec, "Header": table_size is a power of two in [1, 16].</summary>
    internal const int MinTableSize = 1;

    /// <summary>Clusters; the spec allows 1, but QEMU up to 11 refuses to open such an image ("QED table offset is invalid"), so none is made.</summary>
    internal const int MinCreatedTableSize = 2;

    /// <summary>Clusters; as <see cref="MinTableSize"/>.</summary>
    internal const int MaxTableSize = 16;

    /// <summary>Clusters; what qemu-img creates unless told otherwise.</summary>
    internal const int DefaultTableSize = 4;

    /// <summary>Bytes; image_size is a multiple of this. Also the unit in which a disk writes whole or not at all, which the crash order relies on.</summary>
    internal const int SectorSize = 512;

    /// <summary>Bytes; QEMU keeps the name in a buffer of 1024 with its terminator.</summary>
    internal const int MaxBackingNameLength = 1023;

    /// <summary>Bytes of L2 tables kept in memory: with 64 KiB clusters they map 256 GiB.</summary>
    internal const int DefaultTableCacheLength = 32 << 20;

    /// <summary>log2 of the entries in a slice of a table, the unit of caching: 32 KiB, 64 sectors.</summary>
    internal const int MaxSliceBits = 12;

    /// <summary>Bytes; copies from the backing file into a new cluster are made in pieces of this.</summary>
    internal const int CopyPieceLength = 1 << 20;

    /// <summary>How long no cluster has been allocated before NEED_CHECK is cleared. QEMU waits as long.</summary>
    internal static readonly TimeSpan NeedCheckIdleTime = TimeSpan.FromSeconds(5);

    /// <summary>Bytes. Ours: the most that a repair copies so that clusters with several owners become several clusters.</summary>
    internal const long MaxRepairCopiesLength = 1L << 30;
}
