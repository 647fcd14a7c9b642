namespace BlockLayer.Formats.Qed;

/// <summary>Which guest clusters an allocation may take.</summary>
internal enum AllocationTarget
{
    /// <summary>All that hold no data: a guest's write replaces zeroes too.</summary>
    WithoutData,

    /// <summary>Those left to the backing file: a copy from there never replaces what the image decides.</summary>
    Unallocated,
}
