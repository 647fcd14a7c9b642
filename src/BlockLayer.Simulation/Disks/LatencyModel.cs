namespace BlockLayer.Simulation;

/// <summary>
/// How long requests to simulated storage take in virtual time. Requests overlap; only their transfer shares the bandwidth, as on a disk with a queue.
/// </summary>
public sealed record LatencyModel
{
    /// <summary>Requests complete before the call returns. No scheduler is needed, and no other order than the program's happens.</summary>
    public static LatencyModel Inline { get; } = new() { IsInline = true };

    /// <summary>Requests take no virtual time, but complete as steps of the scheduler, in its order. The sharpest model for finding races.</summary>
    public static LatencyModel Immediate { get; } = new();

    /// <summary>True when requests complete before the call returns.</summary>
    public bool IsInline { get; private init; }

    /// <summary>Time every request takes besides its transfer.</summary>
    public TimeSpan Fixed { get; init; }

    /// <summary>Time a flush takes; null: <see cref="Fixed"/>.</summary>
    public TimeSpan? Flush { get; init; }

    /// <summary>Bandwidth that reads and writes share; 0 is unlimited.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Up to this part of the fixed time is added, decided by the seed: 0.1 makes 100 microseconds 100 to 110.</summary>
    public double Jitter { get; init; }

    /// <summary>Answers itself if time does not go back with it.</summary>
    /// <exception cref="ArgumentException">A number is negative.</exception>
    internal LatencyModel Checked()
        => Fixed < TimeSpan.Zero || Flush < TimeSpan.Zero || BytesPerSecond < 0 || !(Jitter >= 0)
            ? throw new ArgumentException($"Times, bandwidth and jitter are not negative; found is {this}.")
            : this;
}
