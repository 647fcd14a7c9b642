using System.Runtime.ExceptionServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>Runs several workers on one task. The first failure stops the others and is the one that is thrown.</summary>
internal static class ParallelWalk
{
    /// <summary>Runs <paramref name="workers"/> copies of <paramref name="worker"/> until all have ended.</summary>
    /// <param name="environment">Where they run.</param>
    /// <param name="workers">How many; at least 1.</param>
    /// <param name="worker">One worker, from its first piece to its last. Its token fires when another has failed.</param>
    /// <param name="cancellationToken">Stops all of them.</param>
    internal static async Task RunAsync(BlockEnvironment environment, int workers, Func<CancellationToken, Task> worker, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var running = new Task[workers];
        Exception? first = null;
        for (int i = 0; i < workers; i++)
        {
            running[i] = environment.Work.StartAsync(GuardedAsync);
        }

        await Task.WhenAll(running).ConfigureAwait(false);
        if (first is not null)
        {
            ExceptionDispatchInfo.Throw(first);
        }

        async Task GuardedAsync()
        {
            try
            {
                await worker(stop.Token).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref first, error, null);
                stop.Cancel();
            }
        }
    }

    /// <summary>
    /// Runs <paramref name="step"/> under a lock that the workers share, and lets the worker go on beside the others. One that had to wait was
    /// resumed on the thread of whoever left the lock; where reads and writes complete at once, the two would take turns on that thread from then on.
    /// </summary>
    internal static async ValueTask<T> TakeTurnAsync<T>(
        BlockEnvironment environment,
        AsyncLock turn,
        Func<CancellationToken, ValueTask<T>> step,
        CancellationToken cancellationToken)
    {
        ValueTask<AsyncLock.Releaser> entering = turn.EnterAsync(cancellationToken);
        bool waits = !entering.IsCompleted;
        T result;
        using (await entering.ConfigureAwait(false))
        {
            result = await step(cancellationToken).ConfigureAwait(false);
        }

        if (waits)
        {
            await environment.Work.RunAsync(static _ => { }, turn).ConfigureAwait(false);
        }

        return result;
    }
}
