namespace BlockLayer.Formats.Qed;

/// <summary>What an L2 entry says about its guest cluster.</summary>
internal enum ClusterKind
{
    /// <summary>Left to the backing file; zeroes without one.</summary>
    Unallocated,

    /// <summary>Zeroes, whatever the backing file holds.</summary>
    Zero,

    /// <summary>Stored in the image file.</summary>
    Data,
}
