namespace BlockLayer.Graph;

/// <summary>What a check of an image found. A checker reports all it can reach instead of stopping at the first fault.</summary>
public sealed record ImageCheckReport
{
    /// <summary>Faults that lose or mix up data, or would on the next write.</summary>
    public required long Corruptions { get; init; }

    /// <summary>Clusters of the file that nothing uses although they are marked as used: lost space, no lost data.</summary>
    public required long Leaks { get; init; }

    /// <summary>Places that could not be looked at.</summary>
    public long CheckErrors { get; init; }

    /// <summary>The faults one by one; a badly damaged image has more of them than are kept here, which the numbers count.</summary>
    public IReadOnlyList<ImageCheckFinding> Findings { get; init; } = [];

    /// <summary>Clusters of the virtual disk.</summary>
    public long TotalClusters { get; init; }

    /// <summary>Clusters of the virtual disk that the image stores.</summary>
    public long AllocatedClusters { get; init; }

    /// <summary>Stored clusters that do not follow their predecessor in the file.</summary>
    public long FragmentedClusters { get; init; }

    /// <summary>Stored clusters that are compressed.</summary>
    public long CompressedClusters { get; init; }

    /// <summary>First byte of the file after everything that is in use.</summary>
    public long ImageEndOffset { get; init; }

    /// <summary>True when nothing was found, not even a leak, and everything was looked at.</summary>
    public bool IsClean => Corruptions == 0 && Leaks == 0 && CheckErrors == 0;
}
