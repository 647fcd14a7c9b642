namespace BlockLayer.Graph;

/// <summary>What a check of an image's metadata found, counted as <c>qemu-img check</c> counts. Making it wrote nothing.</summary>
public sealed record CheckReport
{
    /// <summary>Contradictions in the metadata.</summary>
    public long Corruptions { get; init; }

    /// <summary>Clusters that are taken and that nothing uses.</summary>
    public long Leaks { get; init; }

    /// <summary>Places that could not be looked at.</summary>
    public long CheckErrors { get; init; }

    /// <summary>Clusters of the virtual disk.</summary>
    public long TotalClusters { get; init; }

    /// <summary>Clusters of the virtual disk that have room in the image file, compressed ones included.</summary>
    public long AllocatedClusters { get; init; }

    /// <summary>Allocated clusters that do not follow their predecessor in the file; a compressed cluster always counts.</summary>
    public long FragmentedClusters { get; init; }

    /// <summary>Compressed clusters.</summary>
    public long CompressedClusters { get; init; }

    /// <summary>First byte of the file behind everything that is used or taken.</summary>
    public long ImageEndOffset { get; init; }

    /// <summary>The findings one by one, the first thousand of them; the numbers above count all.</summary>
    public IReadOnlyList<CheckFinding> Findings { get; init; } = [];

    /// <summary>True when nothing was found, not even a leak, and everything was looked at.</summary>
    public bool IsClean => Corruptions == 0 && Leaks == 0 && CheckErrors == 0;
}
