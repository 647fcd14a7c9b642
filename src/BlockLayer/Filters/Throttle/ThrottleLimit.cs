namespace BlockLayer.Filters;

/// <summary>
/// One limit, in units (bytes or operations) a second, as a leaky bucket: every unit fills it, it leaks at the average rate, and while it is full requests wait.
/// </summary>
/// <remarks>
/// As QEMU's: the bucket holds a tenth of a second at the average rate or, with a burst, <see cref="BurstRate"/> for <see cref="BurstLength"/>. In a burst longer
/// than a second a second bucket, of a tenth of a second, holds the burst to its rate. A request that finds the bucket not full goes, however large it is, and those
/// after it pay.
/// </remarks>
public sealed record ThrottleLimit
{
    /// <summary>No limit.</summary>
    public static ThrottleLimit None { get; } = new();

    /// <summary>Units a second in the long run; 0: no limit.</summary>
    public long Average { get; init; }

    /// <summary>Units a second in a burst, not below <see cref="Average"/>; 0: no bursts.</summary>
    public long BurstRate { get; init; }

    /// <summary>How long a burst may last; one second or more, and more only with a <see cref="BurstRate"/>.</summary>
    public TimeSpan BurstLength { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>True when it limits.</summary>
    internal bool IsSet => Average > 0;

    /// <summary>Units that fill the bucket.</summary>
    internal double BucketSize => BurstRate > 0 ? BurstRate * BurstLength.TotalSeconds : Average / 10.0;

    /// <summary>Units that fill the bucket that holds a long burst to its rate; infinite where there is none.</summary>
    internal double BurstBucketSize => BurstRate > 0 && BurstLength > TimeSpan.FromSeconds(1) ? BurstRate / 10.0 : double.PositiveInfinity;

    /// <exception cref="ArgumentException">The numbers contradict each other; the message says how.</exception>
    internal void Validate(string name)
    {
        const long Most = 1_000_000_000_000_000; // QEMU's: a product with the longest burst stays an exact double
        if (Average is < 0 or > Most || BurstRate is < 0 or > Most)
        {
            throw new ArgumentException($"{name} is {Average} with bursts of {BurstRate}; allowed is 0 to {Most}.");
        }

        if (BurstRate > 0 && BurstRate < Average)
        {
            throw new ArgumentException($"{name}-max is {BurstRate}; expected is at least {name}, {Average}.");
        }

        if (BurstRate > 0 && Average == 0)
        {
            throw new ArgumentException($"{name}-max is set without {name}.");
        }

        if (BurstLength < TimeSpan.FromSeconds(1) || (BurstLength > TimeSpan.FromSeconds(1) && BurstRate == 0))
        {
            throw new ArgumentException($"{name}-max-length is {BurstLength.TotalSeconds} s; expected is at least 1, and more only with {name}-max.");
        }
    }
}
