namespace BlockLayer.Formats.CowOverlay;

/// <summary>Bits of <c>compatible_features</c>. A reader ignores those it does not know, and so do we; they are kept.</summary>
[Flags]
internal enum CompatibleFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Bit 0, of the specification: everything is in the image file.</summary>
    AllAllocated = 1,

    /// <summary>Bit 16, ours: the last sector of the header area is an <see cref="OverlayRecord"/>.</summary>
    HasRecord = 1 << 16,
}
