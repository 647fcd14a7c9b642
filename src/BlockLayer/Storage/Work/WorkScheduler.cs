namespace BlockLayer.Storage;

/// <summary>
/// Runs CPU work: compression, checksums, the pieces of a conversion. The one way by which code above Storage may use another thread; a simulation
/// runs the same work on its own loop.
/// </summary>
public abstract class WorkScheduler
{
    /// <summary>How many pieces of work can run at once; at least 1.</summary>
    public abstract int Degree { get; }

    /// <summary>Runs <paramref name="work"/> with <paramref name="state"/>, later or on another thread, and completes when it has run. What it throws, the task throws.</summary>
    public abstract ValueTask RunAsync<TState>(Action<TState> work, TState state);

    /// <summary>Starts an asynchronous operation as another strand of work, from its first step on, and completes when it has.</summary>
    public abstract Task StartAsync(Func<Task> operation);

    /// <summary>Starts work as another strand that does little but move bytes: it may block the thread that it gets. It throws nothing.</summary>
    internal virtual void StartCopying(Action work)
        => _ = StartAsync(() =>
        {
            work();
            return Task.CompletedTask;
        });
}
