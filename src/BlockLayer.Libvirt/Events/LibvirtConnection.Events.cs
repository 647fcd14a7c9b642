namespace BlockLayer.Libvirt;

// What a connection listens to.
public sealed partial class LibvirtConnection
{
    private readonly Lock _registrations = new();
    private readonly SortedDictionary<int, Action<DomainEvent>> _callbacks = []; // guarded by _registrations
    private readonly List<DomainEventStream> _streams = [];                      // guarded by _registrations
    private int _lastCallbackId;                                                 // guarded by _registrations

    /// <summary>
    /// Calls a callback with every event of a kind from now on (<c>virConnectDomainEventRegisterAny</c>). Callbacks are called one after the other, in the order of the events and, for one event,
    /// of the registrations, after the domain's description says what the event says; one that throws does so into whatever raised the event, after the others were called. They are called on the thread
    /// that did the work: one that blocks until a call of this library has returned may wait for itself. It starts the call, and awaits it, or leaves it to whoever reads <see cref="WatchEvents"/>.
    /// </summary>
    /// <param name="domain">Whose events; null for those of all domains.</param>
    /// <param name="id">Which kind. Programs that want to know of jobs whatever libvirt they meet register for both kinds.</param>
    /// <param name="callback">A <see cref="BlockJobCallback"/> or <see cref="DiskChangeCallback"/>, as the kind asks for.</param>
    /// <returns>A positive number by which the registration is removed.</returns>
    /// <exception cref="LibvirtException">InvalidArg: no such kind, or a callback that is missing or not the kind's; NoSupport: a kind that is never told here.</exception>
    public int RegisterDomainEvent(Domain? domain, DomainEventId id, Delegate callback)
    {
        RequireOpen();
        if (domain is not null)
        {
            RequireOwn(domain);
        }

        Action<DomainEvent> call = Adapt(id, callback);
        Action<DomainEvent> listener = what =>
        {
            if (domain is null || ReferenceEquals(what.Domain, domain))
            {
                call(what);
            }
        };
        int number;
        lock (_registrations)
        {
            RequireOpen(); // a connection that is closed meanwhile takes out what is registered by then
            number = ++_lastCallbackId;
            _callbacks.Add(number, listener);
            Host.Events.Add(listener);
        }

        return number;
    }

    /// <summary>Removes a registration: its callback is not called any more, also not for events that were raised before (<c>virConnectDomainEventDeregisterAny</c>).</summary>
    /// <exception cref="LibvirtException">InvalidArg: there is no such registration.</exception>
    public void DeregisterDomainEvent(int callbackId)
    {
        RequireOpen();
        Action<DomainEvent>? listener;
        lock (_registrations)
        {
            if (!_callbacks.Remove(callbackId, out listener))
            {
                throw LibvirtException.InvalidArg($"There is no callback {callbackId}.");
            }
        }

        Host.Events.Remove(listener);
    }

    /// <summary>The events of a domain, or of all, from now on, for <c>await foreach</c>. Dispose it to stop listening.</summary>
    /// <exception cref="LibvirtException">InvalidConnection, InvalidDomain.</exception>
    public DomainEventStream WatchEvents(Domain? domain = null)
    {
        RequireOpen();
        if (domain is not null)
        {
            RequireOwn(domain);
        }

        lock (_registrations)
        {
            RequireOpen();
            var stream = new DomainEventStream(Host.Events, domain, Forget);
            _streams.Add(stream);
            return stream;
        }
    }

    private void Forget(DomainEventStream stream)
    {
        lock (_registrations)
        {
            _streams.Remove(stream);
        }
    }

    private static Action<DomainEvent> Adapt(DomainEventId id, Delegate? callback) => (id, callback) switch
    {
        (DomainEventId.BlockJob, BlockJobCallback hear) => what =>
        {
            if (what is BlockJobEvent { Path: { } path } job)
            {
                hear(job.Domain, path, job.Type, job.Status);
            }
        },
        (DomainEventId.BlockJob2, BlockJobCallback hear) => what =>
        {
            if (what is BlockJobEvent job)
            {
                hear(job.Domain, job.Target, job.Type, job.Status);
            }
        },
        (DomainEventId.DiskChange, DiskChangeCallback hear) => what =>
        {
            if (what is DiskChangeEvent change)
            {
                hear(change.Domain, change.OldPath, change.NewPath, change.Target, change.Reason);
            }
        },
        (DomainEventId.BlockThreshold, _)
            => throw new LibvirtException(LibvirtErrorCode.NoSupport, LibvirtErrorDomain.Domain, "Events of kind BLOCK_THRESHOLD (24) are never told here."),
        (DomainEventId.BlockJob or DomainEventId.BlockJob2 or DomainEventId.DiskChange, _)
            => throw LibvirtException.InvalidArg($"A callback for events of kind {(int)id} is {callback?.GetType().Name ?? "missing"}; expected is {ExpectedFor(id)}."),
        _ => throw LibvirtException.InvalidArg($"There are no events of kind {(int)id} here; there are 8, 9 and 16."),
    };

    private static string ExpectedFor(DomainEventId id) => id == DomainEventId.DiskChange ? nameof(DiskChangeCallback) : nameof(BlockJobCallback);

    private void StopListening()
    {
        Action<DomainEvent>[] listeners;
        DomainEventStream[] streams;
        lock (_registrations)
        {
            listeners = [.. _callbacks.Values];
            streams = [.. _streams];
            _callbacks.Clear();
            _streams.Clear();
        }

        foreach (Action<DomainEvent> listener in listeners)
        {
            Host.Events.Remove(listener);
        }

        foreach (DomainEventStream stream in streams)
        {
            stream.Dispose();
        }
    }
}
