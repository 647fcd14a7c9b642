namespace BlockLayer.Primitives;

/// <summary>
/// Work that many ask for and that runs once at a time. Who asks while it runs shares the next run, because the present one may have begun before what he
/// wants covered was done.
/// </summary>
/// <param name="run">The work. It runs under nobody's token.</param>
internal sealed class SharedRun(Func<ValueTask> run)
{
    private readonly Lock _gate = new();
    private Completion? _running; // guarded by _gate
    private Completion? _next;    // guarded by _gate: the run that starts after it

    /// <summary>Waits for a run that began after this call, and fails as it does.</summary>
    /// <param name="cancellationToken">Takes out this caller, not the run.</param>
    internal ValueTask JoinAsync(CancellationToken cancellationToken)
    {
        Completion mine;
        lock (_gate)
        {
            if (_running is not null)
            {
                _next ??= new Completion();
                return _next.WaitAsync(cancellationToken);
            }

            mine = _running = new Completion();
        }

        ValueTask done = mine.WaitAsync(cancellationToken);
        _ = RunAsync(mine); // gives its failures to whoever waits
        return done;
    }

    private async Task RunAsync(Completion? current)
    {
        while (current is not null)
        {
            Exception? failure = null;
            try
            {
                await run().ConfigureAwait(false);
            }
            catch (Exception error)
            {
                failure = error;
            }

            Completion finished = current;
            lock (_gate)
            {
                (current, _next) = (_next, null);
                _running = current;
            }

            if (failure is null)
            {
                finished.Complete();
            }
            else
            {
                finished.Fail(failure);
            }
        }
    }
}
