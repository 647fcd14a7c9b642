using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>
/// The domains of a process, in the place of libvirt's daemon. Programs work through its connections. Disposing it stops its domains.
/// </summary>
public sealed class LibvirtHost : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, Domain> _domains = new(StringComparer.Ordinal); // guarded by _gate
    private readonly List<LibvirtConnection> _connections = [];                               // guarded by _gate
    private bool _isDisposed;                                                                 // guarded by _gate
    private int _lastId;                                                                      // interlocked

    /// <summary>Makes a host without domains.</summary>
    public LibvirtHost(LibvirtHostOptions? options = null) => Options = options ?? new LibvirtHostOptions();

    /// <summary>What its domains have in common.</summary>
    public LibvirtHostOptions Options { get; }

    /// <summary>Its domains, by name.</summary>
    internal IReadOnlyList<Domain> Domains
    {
        get
        {
            lock (_gate)
            {
                return [.. _domains.Values];
            }
        }
    }

    internal DomainEventQueue Events { get; } = new();

    /// <summary>The files that its domains live on.</summary>
    internal StorageProvider Files => Options.Disks.Environment.Files;

    /// <summary>Makes a connection.</summary>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public LibvirtConnection Connect(ConnectionAccess access = ConnectionAccess.ReadWrite)
    {
        var connection = new LibvirtConnection(this, access);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            _connections.Add(connection);
        }

        return connection;
    }

    /// <summary>
    /// Keeps events back until the result is disposed, and tells them then, in order: for a test of what a program does while it has not heard yet.
    /// </summary>
    public IDisposable HoldEvents() => Events.Hold();

    /// <summary>
    /// Stops the domains, those that are being started too, closes their disks and ends the connections. If that fails, the first failure is thrown after all of them have been stopped.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        LibvirtConnection[] connections;
        lock (_gate)
        {
            _isDisposed = true; // nothing starts any more
            connections = [.. _connections];
        }

        LibvirtException? failure = null;
        foreach (Domain domain in Domains)
        {
            try
            {
                await TryStopAsync(domain, CancellationToken.None).ConfigureAwait(false);
            }
            catch (LibvirtException error)
            {
                failure ??= error;
            }
        }

        foreach (LibvirtConnection connection in connections)
        {
            connection.Dispose();
        }

        if (failure is not null)
        {
            throw failure;
        }
    }

    internal int NextId() => Interlocked.Increment(ref _lastId);

    /// <summary>Takes a definition: of a new domain, or for the next start of one that exists.</summary>
    internal Domain Define(DomainDefinition definition)
    {
        lock (_gate)
        {
            if (!_domains.TryGetValue(definition.Name, out Domain? domain))
            {
                return _domains[definition.Name] = new Domain(this, definition, DomainLifetime.Persistent);
            }

            domain.Redefine(definition);
            return domain;
        }
    }

    /// <summary>Makes a domain that exists while it runs, and starts it.</summary>
    internal async ValueTask<Domain> CreateAsync(DomainDefinition definition, CancellationToken cancellationToken)
    {
        Domain domain;
        lock (_gate)
        {
            if (_domains.ContainsKey(definition.Name))
            {
                throw new LibvirtException(LibvirtErrorCode.DomainExists, LibvirtErrorDomain.Domain, $"There is a domain '{definition.Name}' already.");
            }

            domain = new Domain(this, definition, DomainLifetime.Transient);
            BeginStartLocked(domain);
            _domains.Add(domain.Name, domain);
        }

        await FinishStartAsync(domain, cancellationToken).ConfigureAwait(false);
        return domain;
    }

    /// <summary>Starts a domain that is shut off.</summary>
    internal ValueTask StartAsync(Domain domain, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            BeginStartLocked(domain);
        }

        return FinishStartAsync(domain, cancellationToken);
    }

    internal async ValueTask StopAsync(Domain domain, CancellationToken cancellationToken)
    {
        if (!await TryStopAsync(domain, cancellationToken).ConfigureAwait(false))
        {
            domain.RequireRunning();
        }
    }

    internal void Undefine(Domain domain)
    {
        if (!domain.IsPersistent)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"The domain '{domain.Name}' is transient: there is nothing to undefine.");
        }

        domain.IsPersistent = false;
        ForgetIfGone(domain);
    }

    internal void Forget(LibvirtConnection connection)
    {
        lock (_gate)
        {
            _connections.Remove(connection);
        }
    }

    // Whoever stops, undefines or disposes meanwhile finds a domain that is being started; none is forgotten in between.
    private void BeginStartLocked(Domain domain)
    {
        if (_isDisposed)
        {
            throw new LibvirtException(LibvirtErrorCode.InvalidConnection, LibvirtErrorDomain.Domain, "The host was disposed.");
        }

        domain.BeginStart();
    }

    private async ValueTask FinishStartAsync(Domain domain, CancellationToken cancellationToken)
    {
        try
        {
            await domain.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            domain.EndStart();
            ForgetIfGone(domain);
        }
    }

    // False: it does not run.
    private async ValueTask<bool> TryStopAsync(Domain domain, CancellationToken cancellationToken)
    {
        try
        {
            return await domain.TryShutOffAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            ForgetIfGone(domain);
        }
    }

    private void ForgetIfGone(Domain domain)
    {
        lock (_gate)
        {
            if (domain.TryGo())
            {
                _domains.Remove(domain.Name);
            }
        }
    }
}
