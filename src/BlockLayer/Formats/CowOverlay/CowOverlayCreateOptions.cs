using BlockLayer.Graph;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>How an add-cow overlay is created.</summary>
public sealed record CowOverlayCreateOptions : ImageCreateOptions
{
    /// <summary>
    /// The raw file that holds the data: a path relative to the directory of the add-cow file, or absolute; written as it is. It is made
    /// with the overlay; one that exists is replaced, unless it holds anything.
    /// </summary>
    public string? ImageFile { get; init; }

    /// <summary>Bytes in a cluster, the unit of copying: a power of two from 4 KiB to 2 MiB.</summary>
    public int ClusterSize { get; init; } = CowOverlayLimits.DefaultClusterSize;
}
