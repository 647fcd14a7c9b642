namespace BlockLayer.Formats.Qcow2;

/// <summary>What an L2 entry says of a guest cluster.</summary>
internal enum ClusterKind
{
    /// <summary>Not in this image: reads go to the backing file, or give zeroes without one.</summary>
    Unallocated,

    /// <summary>Reads as zeroes; no host cluster.</summary>
    ZeroPlain,

    /// <summary>Reads as zeroes; a host cluster is kept for it.</summary>
    ZeroAllocated,

    /// <summary>In a host cluster of its own.</summary>
    Data,

    /// <summary>In a compressed stream, which is read-only and starts anywhere.</summary>
    Compressed,
}
