namespace BlockLayer.Simulation;

/// <summary>One device with a latency model: says how long from now a request takes, given those before it.</summary>
internal sealed class ServiceClock(LatencyModel model, SeededRandom random)
{
    private const double NanosecondsPerSecond = 1e9;

    private long _transferringUntil; // nanoseconds of virtual time

    internal bool IsInline => model.IsInline;

    /// <summary>Takes the device for a request that is issued at <paramref name="now"/>; all in nanoseconds.</summary>
    internal long GetDelay(StorageCall call, long now)
    {
        TimeSpan latency = call.Kind is StorageOperations.Flush or StorageOperations.FlushDirectory && model.Flush is { } flush ? flush : model.Fixed;
        long wait = VirtualTimeProvider.ToNanoseconds(latency);
        if (model.Jitter > 0)
        {
            wait += (long)(wait * model.Jitter * random.NextDouble());
        }

        if (model.BytesPerSecond > 0 && call.Kind is StorageOperations.Read or StorageOperations.Write)
        {
            long transfer = (long)(call.Length * NanosecondsPerSecond / model.BytesPerSecond);
            _transferringUntil = Math.Max(now, _transferringUntil) + transfer;
            wait += _transferringUntil - now;
        }

        return wait;
    }
}
