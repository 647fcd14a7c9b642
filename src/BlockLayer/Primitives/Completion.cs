using System.Diagnostics;

namespace BlockLayer.Primitives;

/// <summary>
/// Something that happens once and that any number of callers await: a table load, a copy, an in-flight allocation. Unlike
/// <see cref="TaskCompletionSource"/> it resumes its waiters through the <see cref="ReadyList"/>.
/// </summary>
internal sealed class Completion
{
    private readonly Lock _gate = new();
    private List<Waiter<bool>>? _waiters; // guarded by _gate
    private Exception? _error;            // guarded by _gate until _done
    private bool _done;                   // guarded by _gate

    /// <summary>True once it happened, well or badly.</summary>
    internal bool IsCompleted => Volatile.Read(ref _done);

    /// <summary>Resumes every waiter. The caller holds no lock.</summary>
    internal void Complete() => Settle(error: null);

    /// <summary>Fails every waiter with <paramref name="error"/>. The caller holds no lock.</summary>
    internal void Fail(Exception error) => Settle(error);

    /// <summary>Waits until it has happened. Cancelling takes out this waiter only.</summary>
    internal ValueTask WaitAsync(CancellationToken cancellationToken = default)
    {
        Waiter<bool> waiter;
        lock (_gate)
        {
            if (_done)
            {
                return _error is { } error ? ValueTask.FromException(error) : ValueTask.CompletedTask;
            }

            if (cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled(cancellationToken);
            }

            waiter = new Waiter<bool>();
            (_waiters ??= []).Add(waiter);
        }

        ValueTask task = waiter.VoidTask;
        waiter.ArmCancellation(cancellationToken);
        return task;
    }

    private void Settle(Exception? error)
    {
        List<Waiter<bool>>? waiters;
        lock (_gate)
        {
            Debug.Assert(!_done, "completed twice");
            _error = error;
            _done = true;
            waiters = _waiters;
            _waiters = null;
        }

        if (waiters is null)
        {
            return;
        }

        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Waiter<bool> waiter in waiters)
        {
            if (error is null ? waiter.TryGrant(true) : waiter.TryFail(error))
            {
                ReadyList.Post(waiter);
            }
        }
    }
}
