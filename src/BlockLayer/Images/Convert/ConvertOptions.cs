namespace BlockLayer.Images;

/// <summary>How the content of an image is copied into another.</summary>
public sealed record ConvertOptions
{
    /// <summary>How the target stores data.</summary>
    public ConvertEncoding Encoding { get; init; } = ConvertEncoding.Plain;

    /// <summary>Which part of the source is copied.</summary>
    public ConvertDepth Depth { get; init; } = ConvertDepth.Chain;

    /// <summary>What the target holds before.</summary>
    public TargetContent Target { get; init; } = TargetContent.Zeroes;

    /// <summary>
    /// Zeroes are looked for in data and left out in units of at least this many bytes, a power of two; 0 stores every byte, so that the target is
    /// fully allocated.
    /// </summary>
    public int SparseSize { get; init; } = 4096;

    /// <summary>Whether the dirty bitmaps of the source are copied too: into qcow2, and a target of the source's length.</summary>
    public ConvertBitmaps Bitmaps { get; init; } = ConvertBitmaps.None;

    /// <summary>How many pieces are copied at once; null takes what suits the machine.</summary>
    public int? Workers { get; init; }
}
