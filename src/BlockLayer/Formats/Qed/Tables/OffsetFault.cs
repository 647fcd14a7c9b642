namespace BlockLayer.Formats.Qed;

/// <summary>Why an offset found in a table cannot be followed.</summary>
internal enum OffsetFault
{
    None,

    /// <summary>Not a multiple of the cluster size; the low bits are reserved.</summary>
    Misaligned,

    /// <summary>Inside the header clusters.</summary>
    InHeader,

    /// <summary>The cluster or table does not lie wholly inside the file.</summary>
    PastEnd,

    /// <summary>The place belongs to the L1 table or to an L2 table.</summary>
    InTable,
}
