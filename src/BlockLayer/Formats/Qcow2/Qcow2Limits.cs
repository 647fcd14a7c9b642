namespace BlockLayer.Formats.Qcow2;

/// <summary>Every limit of the format, with its unit and where it comes from. A limit marked QEMU is the one QEMU refuses to go beyond, not the specification's.</summary>
internal static class Qcow2Limits
{
    /// <summary>log2 bytes. qcow2 spec, "Header": cluster_bits must not be less than 9.</summary>
    internal const int MinClusterBits = 9;

    /// <summary>log2 bytes. QEMU: no clusters larger than 2 MiB.</summary>
    internal const int MaxClusterBits = 21;

    /// <summary>log2 bytes. qcow2 spec, "Header": with extended L2 entries a cluster is at least 16 KiB.</summary>
    internal const int MinExtendedL2ClusterBits = 14;

    /// <summary>log2 bits. qcow2 spec, "Header": refcount_order may not exceed 6 (64 bits).</summary>
    internal const int MaxRefcountOrder = 6;

    /// <summary>log2 bits. qcow2 spec, "Header": a version 2 image always has 16-bit refcounts.</summary>
    internal const int Version2RefcountOrder = 4;

    /// <summary>Bytes. QEMU: the largest L1 table, active or of a snapshot.</summary>
    internal const long MaxL1TableLength = 32L << 20;

    /// <summary>Bytes. QEMU: the largest refcount table.</summary>
    internal const long MaxRefcountTableLength = 8L << 20;

    /// <summary>Bits of a host offset that a mapping can hold. qcow2 spec, "Cluster mapping": bits 9-55.</summary>
    internal const int HostOffsetBits = 56;

    /// <summary>Bytes. qcow2 spec, "Header": the backing file name must not be longer than 1023 bytes.</summary>
    internal const int MaxBackingNameLength = 1023;

    /// <summary>Bytes. QEMU: a backing format name of 16 bytes or more is refused.</summary>
    internal const int MaxBackingFormatLength = 15;

    /// <summary>Entries. QEMU: refuses images with more snapshots.</summary>
    internal const int MaxSnapshots = 65536;

    /// <summary>Bytes. QEMU: the largest snapshot table.</summary>
    internal const long MaxSnapshotTableLength = 64L << 20;

    /// <summary>Bytes. QEMU: extra data of a snapshot table entry it is willing to keep.</summary>
    internal const int MaxSnapshotExtraLength = 1024;

    /// <summary>Bytes of UTF-8. QEMU: keeps a name in 256 bytes with its terminator, and cuts off what is longer.</summary>
    internal const int MaxSnapshotNameLength = 255;

    /// <summary>Entries. qcow2 spec, "Bitmaps extension": QEMU supports at most 65535.</summary>
    internal const int MaxBitmaps = 65535;

    /// <summary>Bytes. QEMU: the largest bitmap directory, 1024 bytes for each of the largest number of bitmaps.</summary>
    internal const long MaxBitmapDirectoryLength = MaxBitmaps * 1024L;

    /// <summary>Entries. QEMU: the largest table of one bitmap.</summary>
    internal const long MaxBitmapTableEntries = 0x8000000;

    /// <summary>Bytes. qcow2 spec, "Bitmap directory": QEMU supports no longer names.</summary>
    internal const int MaxBitmapNameLength = 1023;

    /// <summary>Bytes. Ours: the largest encryption header; eight key slots of 4000 stripes of 64 bytes, the most that is written, are 2 MiB.</summary>
    internal const long MaxEncryptionHeaderLength = 64 << 20;

    /// <summary>Bytes. The unit a disk writes whole: a header change that is one of these survives a crash as all or nothing.</summary>
    internal const int SectorLength = 512;

    /// <summary>Bytes. Ours: a longer request is carried out in pieces, so that one allocation stays within a refcount page or two.</summary>
    internal const int MaxTransferLength = 16 << 20;

    /// <summary>Bytes. Ours: the most that a repair copies so that clusters with several users become several clusters.</summary>
    internal const long MaxRepairCopiesLength = 1L << 30;
}
