namespace BlockLayer.Simulation;

/// <summary>What a random guest does: how likely each request is, relative to the others, and where requests go.</summary>
public sealed record GuestProfile
{
    /// <summary>Weight of reads.</summary>
    public int Reads { get; init; } = 3;

    /// <summary>Weight of writes.</summary>
    public int Writes { get; init; } = 5;

    /// <summary>Weight of writes with forced unit access.</summary>
    public int DurableWrites { get; init; } = 1;

    /// <summary>Weight of writes of zeroes.</summary>
    public int Zeroes { get; init; } = 2;

    /// <summary>Weight of discards.</summary>
    public int Discards { get; init; } = 2;

    /// <summary>Weight of flushes.</summary>
    public int Flushes { get; init; } = 2;

    /// <summary>Longest request in bytes; short ones are likelier.</summary>
    public int MaxLength { get; init; } = 64 * 1024;

    internal int TotalWeight => Reads + Writes + DurableWrites + Zeroes + Discards + Flushes;
}
