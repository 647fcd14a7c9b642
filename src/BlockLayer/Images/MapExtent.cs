namespace BlockLayer.Images;

/// <summary>A run of a virtual disk whose bytes come from one place.</summary>
/// <param name="Start">Guest offset in bytes.</param>
/// <param name="Length">Bytes, at least 1.</param>
public readonly record struct MapExtent(long Start, long Length)
{
    /// <summary>How many backing links lie between the top image and the one that was asked last.</summary>
    public int Depth { get; init; }

    /// <summary>True when an image of the chain decides the run; else it is zero because nobody does.</summary>
    public bool IsPresent { get; init; }

    /// <summary>True when the run is known to read as zeroes.</summary>
    public bool IsZero { get; init; }

    /// <summary>True when the run reads from stored bytes.</summary>
    public bool IsData { get; init; }

    /// <summary>True when the run is stored compressed.</summary>
    public bool IsCompressed { get; init; }

    /// <summary>Byte position of the run in <see cref="Path"/>; null where there is none, as in compressed clusters.</summary>
    public long? HostOffset { get; init; }

    /// <summary>The file that holds the run; null where <see cref="HostOffset"/> is.</summary>
    public string? Path { get; init; }

    /// <summary>True when <paramref name="next"/> starts where this ends and differs in nothing else.</summary>
    internal bool Continues(MapExtent next)
        => next.Start == Start + Length
            && next with { Start = Start, Length = Length, HostOffset = HostOffset } == this
            && next.HostOffset == HostOffset + (HostOffset is null ? null : Length);
}
