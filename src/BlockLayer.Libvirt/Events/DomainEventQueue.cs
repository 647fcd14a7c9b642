using System.Diagnostics.CodeAnalysis;

namespace BlockLayer.Libvirt;

/// <summary>
/// Delivers the events of a host, one after the other, each to all listeners before the next.
/// </summary>
/// <remarks>
/// Invariants: (1) events are delivered in the order they were raised, whoever raises them; (2) no listener is called inside another one's call, nor under a lock: what a listener raises comes
/// after what is being told; (3) a listener that was removed is not called any more, also not with events that were raised before; (4) what a listener throws comes to whoever raised the event that it
/// was told, and to nobody else. Whoever raises first delivers; others leave their events to it.
/// </remarks>
internal sealed class DomainEventQueue
{
    private readonly Lock _gate = new();
    private readonly Queue<Telling> _events = new();       // guarded by _gate
    private readonly List<Action<DomainEvent>> _listeners = []; // guarded by _gate
    private bool _isDelivering;                                 // guarded by _gate
    private int _holds;                                         // guarded by _gate

    /// <summary>Adds a listener, which hears what is raised from now on.</summary>
    internal void Add(Action<DomainEvent> listener)
    {
        lock (_gate)
        {
            _listeners.Add(listener);
        }
    }

    /// <summary>Removes a listener.</summary>
    internal void Remove(Action<DomainEvent> listener)
    {
        lock (_gate)
        {
            _listeners.Remove(listener);
        }
    }

    /// <summary>Tells an event. The caller holds no lock, and the domain's description says already what the event says.</summary>
    /// <returns>
    /// Completed once all listeners were called: on return, unless events are held or somebody else is telling some. It fails with what a listener threw, the first such exception.
    /// </returns>
    internal Task Raise(DomainEvent what)
    {
        var telling = new Telling(what);
        lock (_gate)
        {
            _events.Enqueue(telling);
        }

        Deliver();
        return telling.Over.Task;
    }

    /// <summary>Keeps events back until the result is disposed: for a test of what a program does while it has not heard yet. Holds nest.</summary>
    internal IDisposable Hold()
    {
        lock (_gate)
        {
            _holds++;
        }

        return new Held(this);
    }

    private void Deliver()
    {
        var told = new List<Telling>();
        for (bool isFirst = true; TryTake(isFirst, out Telling? next, out Action<DomainEvent>[] listeners); isFirst = false)
        {
            foreach (Action<DomainEvent> listener in listeners)
            {
                if (!IsListening(listener))
                {
                    continue;
                }

                try
                {
                    listener(next.What);
                }
                catch (Exception error)
                {
                    next.Failure ??= error; // the others have a right to hear all the same
                }
            }

            told.Add(next);
        }

        // Whoever waits goes on when nothing is being told: it may raise the next event.
        foreach (Telling telling in told)
        {
            telling.End();
        }
    }

    private bool TryTake(bool isFirst, [NotNullWhen(true)] out Telling? next, out Action<DomainEvent>[] listeners)
    {
        lock (_gate)
        {
            (next, listeners) = (null, []);
            if (isFirst && _isDelivering)
            {
                return false; // somebody delivers, and will deliver this one too
            }

            _isDelivering = _holds == 0 && _events.TryDequeue(out next);
            if (_isDelivering)
            {
                listeners = [.. _listeners];
            }

            return _isDelivering;
        }
    }

    private bool IsListening(Action<DomainEvent> listener)
    {
        lock (_gate)
        {
            return _listeners.Contains(listener);
        }
    }

    private void Release()
    {
        lock (_gate)
        {
            _holds--;
        }

        Deliver();
    }

    /// <summary>An event on its way to the listeners, of whoever delivers it.</summary>
    private sealed class Telling(DomainEvent what)
    {
        internal DomainEvent What => what;

        internal TaskCompletionSource Over { get; } = new();

        internal Exception? Failure { get; set; }

        internal void End()
        {
            if (Failure is null)
            {
                Over.SetResult();
            }
            else
            {
                Over.SetException(Failure);
            }
        }
    }

    private sealed class Held(DomainEventQueue owner) : IDisposable
    {
        private DomainEventQueue? _owner = owner;

        public void Dispose() => Interlocked.Exchange(ref _owner, null)?.Release();
    }
}
