namespace BlockLayer.Graph;

/// <summary>How a write is carried out.</summary>
[Flags]
public enum WriteFlags
{
    /// <summary>Plainly.</summary>
    None = 0,

    /// <summary>Complete only when the data is durable.</summary>
    Fua = 1,

    /// <summary>The bytes are what a reader sees already; needs only the write-unchanged permission.</summary>
    Unchanged = 2,

    /// <summary>Store compressed; the range is whole clusters that are not allocated yet. Only where <see cref="BlockLimits.SupportsCompressedWrites"/>.</summary>
    Compressed = 4,
}
