namespace BlockLayer.Filters;

/// <summary>The state of one <see cref="ThrottleLimit"/>. Not thread-safe.</summary>
internal struct LeakyBucket
{
    private double _level; // units
    private double _burst; // units, in the bucket that holds a long burst to its rate

    /// <summary>Time passes.</summary>
    internal void Leak(ThrottleLimit limit, double seconds)
    {
        _level = Math.Max(0, _level - (limit.Average * seconds));
        _burst = Math.Max(0, _burst - (limit.BurstRate * seconds));
    }

    /// <summary>Seconds until the bucket is not over full; 0: a request may go.</summary>
    internal readonly double Wait(ThrottleLimit limit)
    {
        if (!limit.IsSet)
        {
            return 0;
        }

        double forAverage = (_level - limit.BucketSize) / limit.Average;
        double forBurst = double.IsPositiveInfinity(limit.BurstBucketSize) ? 0 : (_burst - limit.BurstBucketSize) / limit.BurstRate;
        return Math.Max(0, Math.Max(forAverage, forBurst));
    }

    /// <summary>A request goes.</summary>
    internal void Fill(ThrottleLimit limit, double units)
    {
        if (limit.IsSet)
        {
            _level += units;
            _burst += units;
        }
    }
}
