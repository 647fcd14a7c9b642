namespace BlockLayer.Formats.Qcow2;

/// <summary>incompatible_features: an image with a bit that is not known here must not be opened.</summary>
[Flags]
internal enum IncompatibleFeatures : ulong
{
    /// <summary>No bit set.</summary>
    None = 0,

    /// <summary>Refcounts may be stale: they are rebuilt from the L1 and L2 tables before the first write.</summary>
    Dirty = 1 << 0,

    /// <summary>Any structure may be damaged: no writes but a repair's.</summary>
    Corrupt = 1 << 1,

    /// <summary>Guest clusters are in another file.</summary>
    ExternalDataFile = 1 << 2,

    /// <summary>compression_type is present and not 0.</summary>
    CompressionType = 1 << 3,

    /// <summary>L2 entries are extended ones.</summary>
    ExtendedL2 = 1 << 4,

    /// <summary>Every bit the specification defines.</summary>
    Known = Dirty | Corrupt | ExternalDataFile | CompressionType | ExtendedL2,
}

/// <summary>compatible_features: unknown bits are ignored and kept.</summary>
[Flags]
internal enum CompatibleFeatures : ulong
{
    /// <summary>No bit set.</summary>
    None = 0,

    /// <summary>A writer may set <see cref="IncompatibleFeatures.Dirty"/> and postpone refcount updates.</summary>
    LazyRefcounts = 1 << 0,
}

/// <summary>autoclear_features: a writer clears the bits it does not know, or does not maintain, before its first write.</summary>
[Flags]
internal enum AutoclearFeatures : ulong
{
    /// <summary>No bit set.</summary>
    None = 0,

    /// <summary>The bitmaps extension is consistent with the disk's content.</summary>
    Bitmaps = 1 << 0,

    /// <summary>The external data file is a raw image by itself.</summary>
    RawExternalData = 1 << 1,
}
