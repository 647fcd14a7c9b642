using BlockLayer.Images;

namespace BlockLayer.Cli.Demo;

/// <summary>All processors of the guest, running until they are stopped, with their latencies kept apart by phase.</summary>
internal sealed class GuestCrowd : IAsyncDisposable
{
    private const int Count = 8;

    private readonly CancellationTokenSource _stop = new();
    private readonly Guest[] _guests;
    private readonly Task[] _running;
    private LatencyLog[] _logs = NewLogs(); // replaced when a phase ends; each element belongs to one guest

    internal GuestCrowd(Disk disk, DiskModel model, int seed, TimeProvider time)
    {
        _guests = [.. Enumerable.Range(0, Count).Select(index => new Guest(disk, model, seed, index, Count, time))];
        _running = [.. _guests.Select((guest, index) => Task.Run(() => guest.RunAsync(() => Volatile.Read(ref _logs)[index], _stop.Token)))];
        FirstEnd = Task.WhenAny(_running).Unwrap();
    }

    internal long Reads => _guests.Sum(guest => guest.Reads);

    internal long Writes => _guests.Sum(guest => guest.Writes);

    /// <summary>Fails as soon as one of the guests does; else completes when the first has stopped.</summary>
    internal Task FirstEnd { get; }

    /// <summary>Ends a phase: what is measured from now on belongs to the next. The logs are complete once the guests have stopped.</summary>
    internal LatencyLog[] EndPhase() => Interlocked.Exchange(ref _logs, NewLogs());

    /// <summary>Lets every guest finish its request and stop.</summary>
    internal async Task StopAsync()
    {
        _stop.Cancel();
        await Task.WhenAll(_running).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        await Task.WhenAll(_running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // who cares has awaited StopAsync
        _stop.Dispose();
    }

    private static LatencyLog[] NewLogs() => [.. Enumerable.Range(0, Count).Select(_ => new LatencyLog())];
}
