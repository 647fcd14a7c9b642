namespace BlockLayer.Filters;

/// <summary>Every limit of a mirror.</summary>
internal static class MirrorLimits
{
    /// <summary>A disk is divided into at most this many regions, so a log has at most 9,216 bytes.</summary>
    internal const int MaxRegions = 65_536;

    /// <summary>log2 of the smallest region in bytes.</summary>
    internal const int MinRegionBits = 12;

    /// <summary>log2 of the region in bytes of a disk that needs no larger ones.</summary>
    internal const int DefaultRegionBits = 20;

    /// <summary>log2 of the largest region in bytes: with it the longest disk has 131,072 / 2 regions.</summary>
    internal const int MaxRegionBits = 47;

    /// <summary>Bytes that may follow to the destination after their writes were acknowledged.</summary>
    internal const int MaxBytesBehind = 16 * 1024 * 1024;

    /// <summary>The longest piece that a repair copies under one claim, in bytes: what a guest's write may have to wait for.</summary>
    internal const int RepairPiece = 512 * 1024;
}
