using System.Diagnostics;
using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// The bytes that copies in flight may hold. A reservation is all or nothing and made before any claim, so that nobody waits for memory while others
/// wait for him. Who waits is served in order, and nobody who only tries is served before him.
/// </summary>
internal sealed class CopyMemory
{
    private readonly Lock _gate = new();
    private readonly Queue<Request> _waiting = new(); // guarded by _gate
    private long _reserved;                           // guarded by _gate

    internal CopyMemory(long limit) => Limit = limit;

    /// <summary>The most that is reserved at any time, in bytes. A request for more is never granted.</summary>
    internal long Limit { get; }

    /// <summary>Bytes reserved now.</summary>
    internal long Reserved
    {
        get
        {
            lock (_gate)
            {
                return _reserved;
            }
        }
    }

    /// <summary>Reserves now or not at all.</summary>
    internal bool TryReserve(long bytes)
    {
        lock (_gate)
        {
            if (_waiting.Count > 0 || bytes > Limit - _reserved)
            {
                return false;
            }

            _reserved += bytes;
            return true;
        }
    }

    /// <summary>Waits for memory; <paramref name="bytes"/> is at most <see cref="Limit"/>.</summary>
    /// <exception cref="OperationCanceledException">The token fired first; nothing is reserved.</exception>
    internal ValueTask<bool> ReserveAsync(long bytes, CancellationToken cancellationToken)
    {
        Debug.Assert(bytes <= Limit, "more than will ever be there");
        Request request;
        lock (_gate)
        {
            if (_waiting.Count == 0 && bytes <= Limit - _reserved)
            {
                _reserved += bytes;
                return new ValueTask<bool>(true);
            }

            request = new Request(bytes);
            _waiting.Enqueue(request);
        }

        ValueTask<bool> task = request.Task;
        request.ArmCancellation(cancellationToken);
        return task;
    }

    /// <summary>Gives memory back. The caller holds no lock.</summary>
    internal void Release(long bytes)
    {
        if (bytes == 0)
        {
            return;
        }

        List<Request>? granted = null;
        lock (_gate)
        {
            _reserved -= bytes;
            Debug.Assert(_reserved >= 0, "released more than was reserved");
            while (_waiting.TryPeek(out Request? first) && (first.IsCancelled || first.Bytes <= Limit - _reserved))
            {
                _waiting.Dequeue();
                if (first.TryGrant(true))
                {
                    _reserved += first.Bytes;
                    (granted ??= []).Add(first);
                }
            }
        }

        if (granted is null)
        {
            return;
        }

        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Request request in granted)
        {
            ReadyList.Post(request);
        }
    }

    private sealed class Request(long bytes) : Waiter<bool>
    {
        internal long Bytes => bytes;
    }
}
