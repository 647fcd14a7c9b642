namespace BlockLayer.Graph;

/// <summary>
/// What is known of a run of a node. It is stale when returned: good for planning and skipping, never for deciding to write.
/// </summary>
/// <param name="Flags">What is known.</param>
/// <param name="Length">Length of the run in bytes, at least 1 and at most what was asked for.</param>
/// <param name="HostOffset">Byte position in the data file of <see cref="Provider"/>; only with <see cref="StatusFlags.HostOffsetValid"/>.</param>
/// <param name="Provider">The node that decides the content; null when nothing in the asked part does.</param>
/// <param name="Depth">In a chain question, how many backing links lie between the asked node and <paramref name="Provider"/>.</param>
public readonly record struct BlockStatus(StatusFlags Flags, long Length, long HostOffset = 0, BlockNode? Provider = null, int Depth = 0)
{
    /// <summary>True when the content is decided here.</summary>
    public bool IsAllocated => (Flags & StatusFlags.Allocated) != 0;

    /// <summary>True when the run is known to read as zeroes.</summary>
    public bool IsZero => (Flags & StatusFlags.Zero) != 0;

    /// <summary>True when the run reads from stored bytes.</summary>
    public bool IsData => (Flags & StatusFlags.Data) != 0;

    /// <summary>A run that is left to the backing node.</summary>
    public static BlockStatus Unallocated(long length) => new(StatusFlags.None, length);

    /// <summary>A run of zeroes decided by <paramref name="provider"/>.</summary>
    public static BlockStatus Zeroes(long length, BlockNode provider) => new(StatusFlags.Zero | StatusFlags.Allocated, length, 0, provider);

    /// <summary>A run of stored bytes at a known position.</summary>
    public static BlockStatus DataAt(long length, long hostOffset, BlockNode provider)
        => new(StatusFlags.Data | StatusFlags.Allocated | StatusFlags.HostOffsetValid, length, hostOffset, provider);
}
