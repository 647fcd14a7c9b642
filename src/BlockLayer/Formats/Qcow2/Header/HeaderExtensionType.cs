namespace BlockLayer.Formats.Qcow2;

/// <summary>The header extensions the specification names. Any other value is an extension to be kept and ignored.</summary>
internal enum HeaderExtensionType : uint
{
    /// <summary>End of the header extension area.</summary>
    End = 0,

    /// <summary>Backing file format name, a string.</summary>
    BackingFormat = 0xe279_2aca,

    /// <summary>Feature name table.</summary>
    FeatureNameTable = 0x6803_f857,

    /// <summary>Bitmaps extension.</summary>
    Bitmaps = 0x2385_2875,

    /// <summary>Full disk encryption header pointer.</summary>
    EncryptionHeader = 0x0537_be77,

    /// <summary>External data file name, a string.</summary>
    DataFileName = 0x4441_5441,
}
