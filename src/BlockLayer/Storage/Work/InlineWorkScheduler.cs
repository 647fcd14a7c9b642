namespace BlockLayer.Storage;

/// <summary>Work on the thread that asks for it, before the call returns: for small programs, tests, and wherever a hop to a pool costs more than the work.</summary>
public sealed class InlineWorkScheduler : WorkScheduler
{
    private InlineWorkScheduler()
    {
    }

    /// <summary>The one there is: it has no state.</summary>
    public static InlineWorkScheduler Instance { get; } = new();

    /// <inheritdoc/>
    public override int Degree => 1;

    /// <inheritdoc/>
    public override ValueTask RunAsync<TState>(Action<TState> work, TState state)
    {
        try
        {
            work(state);
            return ValueTask.CompletedTask;
        }
#pragma warning disable CA1031 // Whatever the work throws, its task throws.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return ValueTask.FromException(error);
        }
    }

    /// <inheritdoc/>
    public override async Task StartAsync(Func<Task> operation) => await operation().ConfigureAwait(false);
}
