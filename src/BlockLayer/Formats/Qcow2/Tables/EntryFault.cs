namespace BlockLayer.Formats.Qcow2;

/// <summary>What is wrong with one table entry. A value, not an exception: a checker counts faults, a loader turns the fatal ones into an error.</summary>
internal enum EntryFault
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Bits that the specification reserves are set. The offset can still be trusted; QEMU reads such entries and counts them as corruption.</summary>
    ReservedBits,

    /// <summary>The host offset is not a multiple of the cluster size.</summary>
    Unaligned,

    /// <summary>The host offset is the header's cluster.</summary>
    InHeader,

    /// <summary>The structure or data pointed to starts past the end of the file.</summary>
    PastEnd,

    /// <summary>The zero flag is set in a version 2 image, which has none.</summary>
    ZeroInVersion2,

    /// <summary>The cluster is compressed in an image with an external data file.</summary>
    CompressedWithDataFile,

    /// <summary>The place in an external data file is not the guest offset.</summary>
    NotAtGuestOffset,

    /// <summary>A subcluster is both allocated and zero.</summary>
    SubclusterConflict,

    /// <summary>A subcluster is allocated although the entry has no host offset.</summary>
    SubclusterWithoutCluster,
}
