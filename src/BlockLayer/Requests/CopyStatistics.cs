namespace BlockLayer.Requests;

/// <summary>What a write queue has done so far: what a comparison of strategies looks at.</summary>
public sealed record CopyStatistics
{
    /// <summary>Copies begun, each of one or more neighbouring units.</summary>
    public long Copies { get; init; }

    /// <summary>Bytes stored, in whole units.</summary>
    public long StoredBytes { get; init; }

    /// <summary>Shares of copies that somebody else was making, used instead of reading the source again.</summary>
    public long Joined { get; init; }

    /// <summary>Units whose copy a guest's write cancelled.</summary>
    public long Cancelled { get; init; }

    /// <summary>Cancelled units that a later reader brought back.</summary>
    public long Revived { get; init; }

    /// <summary>Times a guest's write waited for a unit.</summary>
    public long GuestWaits { get; init; }

    /// <summary>Reads that found no memory for their copies and were read through.</summary>
    public long WithoutMemory { get; init; }

    /// <summary>Units whose store failed.</summary>
    public long FailedStores { get; init; }
}
