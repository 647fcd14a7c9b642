namespace BlockLayer.Graph;

/// <summary>What a node can take, in bytes. Generic code reads limits; it never asks which format it talks to.</summary>
public sealed record BlockLimits
{
    /// <summary>
    /// Requests that reach the driver begin at a multiple of this and end at one or at the end of the node; the base reads and writes around others. A
    /// power of two.
    /// </summary>
    public int RequestAlignment { get; init; } = 1;

    /// <summary>The unit in which the format allocates; 0 where it does not allocate. A power of two.</summary>
    public int ClusterSize { get; init; }

    /// <summary>The unit in which content is copied up and zeroes are kept; equals <see cref="ClusterSize"/> without subclusters.</summary>
    public int SubclusterSize { get; init; }

    /// <summary>
    /// The longest read or write that the driver is handed at once, at least 512 and <see cref="RequestAlignment"/>; the base splits longer ones, between
    /// sectors of 512 bytes.
    /// </summary>
    public int MaxTransfer { get; init; } = int.MaxValue & ~0xfffff;

    /// <summary>Discards are effective in units of this; the rest of a discard is ignored. A power of two.</summary>
    public int DiscardGranularity { get; init; } = 1;

    /// <summary>Zeroes are stored without data in units of this. A power of two.</summary>
    public int ZeroGranularity { get; init; } = 1;

    /// <summary>True when <see cref="WriteFlags.Compressed"/> is understood.</summary>
    public bool SupportsCompressedWrites { get; init; }

    /// <summary>
    /// True when the driver stores copies from below by <see cref="BlockNode.PopulateAsync(long, ReadOnlyMemory{byte}, CancellationToken)"/> without ever overwriting what is allocated.
    /// </summary>
    public bool SupportsPopulate { get; init; }
}
