namespace BlockLayer.Formats.Qcow2;

/// <summary>The decoded answer for a run of guest bytes: one kind, and for data one contiguous run of host bytes.</summary>
/// <param name="Kind">What all of the run is.</param>
/// <param name="HostOffset">Where the first guest byte of the run is in the file, for data and allocated zeroes; else 0. Not aligned unless the run is.</param>
/// <param name="Length">Guest bytes in the run; at least 1. A compressed run never exceeds its cluster.</param>
/// <param name="Entry">The entry of the first cluster, from which a compressed stream is located and the copied flag is read.</param>
internal readonly record struct ClusterMapping(ClusterKind Kind, HostOffset HostOffset, long Length, L2Entry Entry)
{
    /// <summary>Read the host bytes.</summary>
    public bool IsData => Kind == ClusterKind.Data;

    /// <summary>Reads as zeroes, with or without a host cluster.</summary>
    public bool IsZero => Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated;

    /// <summary>This image provides the run, so the backing file is not asked.</summary>
    public bool IsAllocated => Kind != ClusterKind.Unallocated;

    /// <summary>The host bytes may be overwritten in place: data, referred to once.</summary>
    public bool IsWritable => Kind == ClusterKind.Data && Entry.IsCopied;
}
