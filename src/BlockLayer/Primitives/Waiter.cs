using System.Threading.Tasks.Sources;

namespace BlockLayer.Primitives;

/// <summary>
/// One caller that waits for a <typeparamref name="T"/>. It is granted once, by whoever holds the list it stands in, or cancelled by its token, never both.
/// </summary>
/// <remarks>
/// <code>
///   waiting --TryGrant/TryFail--> settled --ReadyList--> completed
///      '-------token callback--> cancelled --ReadyList--> completed (OperationCanceledException)
/// </code>
/// The token callback only marks and posts; the registration is released with Unregister, outside every lock.
/// </remarks>
internal class Waiter<T> : ReadyItem, IValueTaskSource<T>, IValueTaskSource
{
    private const int Waiting = 0;
    private const int Settled = 1;
    private const int Cancelled = 2;

    private ManualResetValueTaskSourceCore<T> _core;
    private CancellationTokenRegistration _registration;
    private CancellationToken _token;
    private T? _result;
    private Exception? _error;
    private int _state;

    /// <summary>True once the token has taken the waiter out; the list that holds it drops it when it meets it.</summary>
    internal bool IsCancelled => Volatile.Read(ref _state) == Cancelled;

    /// <summary>What the caller awaits, once.</summary>
    internal ValueTask<T> Task => new(this, _core.Version);

    /// <summary>The same without a result.</summary>
    internal ValueTask VoidTask => new(this, _core.Version);

    /// <summary>Lets <paramref name="token"/> take the waiter out. Call it outside every lock, after the waiter stands in its list.</summary>
    internal void ArmCancellation(CancellationToken token)
    {
        if (token.CanBeCanceled)
        {
            _token = token;
            _registration = token.UnsafeRegister(static state => ((Waiter<T>)state!).OnTokenCancelled(), this);

            // The waiter stands in its list already. Whoever settled it meanwhile may have run it before there was a registration to release.
            Interlocked.MemoryBarrier();
            if (_state != Waiting)
            {
                _registration.Unregister();
            }
        }
    }

    /// <summary>Settles the waiter with a result. True obliges the caller to post it to the <see cref="ReadyList"/> after its locks.</summary>
    internal bool TryGrant(T result)
    {
        if (Interlocked.CompareExchange(ref _state, Settled, Waiting) != Waiting)
        {
            return false;
        }

        _result = result;
        return true;
    }

    /// <summary>Settles the waiter with a failure; as <see cref="TryGrant"/>.</summary>
    internal bool TryFail(Exception error)
    {
        if (Interlocked.CompareExchange(ref _state, Settled, Waiting) != Waiting)
        {
            return false;
        }

        _error = error;
        return true;
    }

    internal override void Run()
    {
        _registration.Unregister();
        if (_state == Cancelled)
        {
            _core.SetException(new OperationCanceledException(_token));
        }
        else if (_error is { } error)
        {
            _core.SetException(error);
        }
        else
        {
            _core.SetResult(_result!);
        }
    }

    /// <inheritdoc/>
    public T GetResult(short token) => _core.GetResult(token);

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    /// <inheritdoc/>
    public override string ToString() => "completion"; // in what a simulation tells of its steps

    private void OnTokenCancelled()
    {
        if (Interlocked.CompareExchange(ref _state, Cancelled, Waiting) == Waiting)
        {
            ReadyList.Post(this);
        }
    }
}
