namespace BlockLayer.Filters;

/// <summary>How a mirror works. The defaults: both sides have every acknowledged write, both are flushed, the source is read, errors are told.</summary>
public sealed record MirrorOptions
{
    /// <summary>Which side answers reads.</summary>
    public MirrorReads Reads { get; init; }

    /// <summary>When a write is complete.</summary>
    public MirrorAck Ack { get; init; }

    /// <summary>What a flush makes durable.</summary>
    public MirrorFlush Flush { get; init; }

    /// <summary>What happens when the destination fails.</summary>
    public MirrorErrorPolicy OnDestinationError { get; init; }

    /// <summary>What opening does about regions in which the sides may differ.</summary>
    public MirrorSync Sync { get; init; }

    /// <summary>
    /// Bytes that are noted as changing, and repaired, as a whole: a power of two from 4 KiB on. Null chooses the smallest from 1 MiB on with which the disk has at most
    /// 65,536 regions.
    /// </summary>
    public long? RegionSize { get; init; }

    /// <summary>How long a region stays noted after its last write. Shorter costs flushes, longer costs a longer repair after a crash.</summary>
    public TimeSpan CleanAfter { get; init; } = TimeSpan.FromSeconds(5);
}
