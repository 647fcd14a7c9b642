namespace BlockLayer.Libvirt;

/// <summary>What a bandwidth counts, each a second.</summary>
internal enum BandwidthUnit
{
    /// <summary>1,048,576 bytes.</summary>
    Mebibytes,

    /// <summary>Bytes.</summary>
    Bytes,
}
