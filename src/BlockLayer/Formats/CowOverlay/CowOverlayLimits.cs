namespace BlockLayer.Formats.CowOverlay;

/// <summary>Every limit of the format and of this implementation, with its unit and source.</summary>
internal static class CowOverlayLimits
{
    /// <summary>add-cow specification, "Header": cluster_bits is 12 to 21.</summary>
    internal const int MinClusterBits = 12;

    /// <summary>As <see cref="MinClusterBits"/>.</summary>
    internal const int MaxClusterBits = 21;

    /// <summary>Bytes; the specification's default.</summary>
    internal const int DefaultClusterSize = 1 << 16;

    /// <summary>Bytes; the header area is this or a cluster, whichever is longer.</summary>
    internal const int MinHeaderSize = 4096;

    /// <summary>Bytes that a disk writes whole or not at all, which the crash order relies on.</summary>
    internal const int SectorSize = 512;

    /// <summary>Bytes of UTF-8; QEMU keeps file names in buffers of 1024 with their terminator.</summary>
    internal const int MaxNameLength = 1023;

    /// <summary>
    /// Bytes of bitmap that are kept in memory: with 64 KiB clusters it stands for 128 TiB. An image file can be sparse, so its length alone says nothing of
    /// what somebody was ready to spend.
    /// </summary>
    internal const long MaxBitmapLength = 256 << 20;

    /// <summary>Bytes; copies from the backing file into a new cluster are made in pieces of this.</summary>
    internal const int CopyPieceLength = 1 << 20;
}
