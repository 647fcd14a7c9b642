namespace BlockLayer.Formats.Qcow2;

/// <summary>Which of the two layouts the entries of all L2 tables of an image have (incompatible feature bit 4).</summary>
internal enum L2EntryFormat
{
    /// <summary>One 64-bit word.</summary>
    Standard,

    /// <summary>Two 64-bit words, the second with two bits for each of 32 subclusters.</summary>
    Extended,
}
