using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// A place at which something stops once, and stays until a test lets it go on. Everything else goes on meanwhile. A breakpoint that is never reached shows as
/// a <see cref="SimulationDeadlockException"/> in whoever awaits it.
/// </summary>
public abstract class Breakpoint
{
    private readonly Completion _reached = new();
    private readonly Completion _released = new();

    private protected Breakpoint()
    {
    }

    /// <summary>True once it was reached.</summary>
    public bool IsReached => _reached.IsCompleted;

    /// <summary>Waits until it is reached.</summary>
    public ValueTask ReachedAsync() => _reached.WaitAsync();

    /// <summary>Lets go on what stopped here, or will.</summary>
    /// <exception cref="InvalidOperationException">It was let go before.</exception>
    public void Continue()
    {
        if (_released.IsCompleted)
        {
            throw new InvalidOperationException("The breakpoint was let go before.");
        }

        _released.Complete();
    }

    /// <summary>Stops here. Only the first to come does.</summary>
    private protected ValueTask StopAsync()
    {
        if (_reached.IsCompleted)
        {
            return ValueTask.CompletedTask;
        }

        _reached.Complete();
        return _released.WaitAsync();
    }
}
