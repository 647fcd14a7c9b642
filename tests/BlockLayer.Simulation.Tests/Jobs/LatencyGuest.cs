namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>A guest whose requests are timed.</summary>
/// <param name="Length">Its requests go to the disk's first bytes, this many.</param>
/// <param name="Think">How long it rests after each.</param>
internal sealed record LatencyGuest(long Length, TimeSpan Think)
{
    /// <summary>On clusters that the newest image holds, without a rest.</summary>
    internal static LatencyGuest OnAllocated { get; } = new(LatencyWorld.AllocatedLength, TimeSpan.Zero);

    /// <summary>All over the disk, with rests that a job uses.</summary>
    internal static LatencyGuest Everywhere { get; } = new(LatencyWorld.DiskLength, TimeSpan.FromMilliseconds(3));

    /// <summary>Whether every third request is a write.</summary>
    internal bool Writes { get; init; } = true;
}
