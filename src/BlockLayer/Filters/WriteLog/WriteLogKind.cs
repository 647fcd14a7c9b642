namespace BlockLayer.Filters;

/// <summary>What a logged request did. The numbers are those of the log's file.</summary>
public enum WriteLogKind
{
    /// <summary>Wrote bytes.</summary>
    Write = 1,

    /// <summary>Wrote zeroes.</summary>
    Zeroes = 2,

    /// <summary>Discarded.</summary>
    Discard = 3,

    /// <summary>
    /// Made durable what <see cref="WriteLogEntry.Covers"/> says. A write with forced unit access is a write and the flush that made it durable.
    /// </summary>
    Flush = 4,

    /// <summary>Nothing: a place that somebody named, to replay up to.</summary>
    Mark = 5,
}
