using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// The events from the moment it was made, in order, to be read with <c>await foreach</c> by one reader at a time. It ends when it, its connection or the host is disposed; what was
/// raised before is still read. Events wait in memory until they are read.
/// </summary>
public sealed class DomainEventStream : IAsyncEnumerable<DomainEvent>, IDisposable
{
    private readonly DomainEventQueue _source;
    private readonly Domain? _domain;
    private readonly Action<DomainEventStream> _disposed;
    private readonly Lock _gate = new();
    private readonly Queue<DomainEvent> _events = new(); // guarded by _gate
    private Completion _changed = new();                 // guarded by _gate: completed when there is something to look at
    private bool _ended;                                 // guarded by _gate

    internal DomainEventStream(DomainEventQueue source, Domain? domain, Action<DomainEventStream> disposed)
    {
        _source = source;
        _domain = domain;
        _disposed = disposed;
        source.Add(Hear);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerator<DomainEvent> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        while (Take(out DomainEvent? next, out Completion changed))
        {
            if (next is null)
            {
                await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            yield return next;
        }
    }

    /// <summary>Stops listening; a reader reads what was raised before, and then its loop ends.</summary>
    public void Dispose()
    {
        _source.Remove(Hear);
        _disposed(this);
        Change(what: null);
    }

    // False at the end. Without an event, the completion tells when to look again.
    private bool Take(out DomainEvent? next, out Completion changed)
    {
        lock (_gate)
        {
            changed = _changed;
            return _events.TryDequeue(out next) || !_ended;
        }
    }

    private void Hear(DomainEvent what)
    {
        if (_domain is null || ReferenceEquals(_domain, what.Domain))
        {
            Change(what);
        }
    }

    private void Change(DomainEvent? what)
    {
        Completion changed;
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _ended = what is null;
            if (what is not null)
            {
                _events.Enqueue(what);
            }

            (changed, _changed) = (_changed, new Completion());
        }

        changed.Complete();
    }
}
