using System.Diagnostics;

namespace BlockLayer.Primitives;

/// <summary>
/// A fair mutual exclusion for code that awaits. Free: no allocation, no wait. Held: callers queue in order and are resumed through the
/// <see cref="ReadyList"/>, so that any number of waiters needs one stack frame and no thread changes.
/// </summary>
internal sealed class AsyncLock
{
    private readonly Lock _gate = new();
    private readonly Queue<Waiter<Releaser>> _waiters = new(); // guarded by _gate
    private bool _held;                                        // guarded by _gate

    /// <summary>True while somebody holds the lock; for assertions.</summary>
    internal bool IsHeld => Volatile.Read(ref _held);

    /// <summary>Waits for the lock. Dispose the result to leave it.</summary>
    /// <exception cref="OperationCanceledException">The token fired while waiting; the lock was not taken.</exception>
    internal ValueTask<Releaser> EnterAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<Releaser>(cancellationToken);
        }

        Waiter<Releaser> waiter;
        lock (_gate)
        {
            if (!_held)
            {
                _held = true;
                return new ValueTask<Releaser>(new Releaser(this));
            }

            waiter = new Waiter<Releaser>();
            _waiters.Enqueue(waiter);
        }

        ValueTask<Releaser> task = waiter.Task;
        waiter.ArmCancellation(cancellationToken);
        return task;
    }

    /// <summary>Takes the lock if it is free now.</summary>
    internal bool TryEnter(out Releaser releaser)
    {
        lock (_gate)
        {
            releaser = _held ? default : new Releaser(this);
            bool taken = !_held;
            _held = true;
            return taken;
        }
    }

    private void Exit()
    {
        Waiter<Releaser>? next = null;
        lock (_gate)
        {
            Debug.Assert(_held, "left a lock that nobody holds");
            while (_waiters.TryDequeue(out Waiter<Releaser>? candidate))
            {
                if (candidate.TryGrant(new Releaser(this)))
                {
                    next = candidate;
                    break;
                }
            }

            _held = next is not null;
        }

        if (next is not null)
        {
            ReadyList.Post(next);
        }
    }

    /// <summary>Holds the lock until disposed. Dispose exactly once.</summary>
    internal readonly struct Releaser : IDisposable
    {
        private readonly AsyncLock? _owner;

        internal Releaser(AsyncLock owner) => _owner = owner;

        /// <summary>Leaves the lock and resumes the next waiter.</summary>
        public void Dispose() => _owner?.Exit();
    }
}
