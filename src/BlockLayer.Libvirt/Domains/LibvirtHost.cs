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
    public LibvirtConnection Connect(ConnectionAccess access = ConnectionAccess.ReadWrite)
    {
        var connection = new LibvirtConnection(this, access);
        lock (_gate)
        {
            _connections.Add(connection);
        }

        return connection;
    }

    /// <summary>
    /// Keeps events back until the result is disposed, and tells them then, in order: for a test of what a program does while it has not heard yet.
    /// </summary>
    public IDisposable HoldEvents() => Events.Hold();

    /// <summary>Ends the connections, stops the domains and closes their disks. If that fails, the first failure is thrown after all of them have been stopped.</summary>
    public async ValueTask DisposeAsync()
    {
        LibvirtConnection[] connections;
        lock (_gate)
        {
            connections = [.. _connections];
        }

        LibvirtException? failure = null;
        foreach (Domain domain in Domains)
        {
            try
            {
                if (domain.State == DomainState.Running)
                {
                    await StopAsync(domain, CancellationToken.None).ConfigureAwait(false);
                }
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

            domain = _domains[definition.Name] = new Domain(this, definition, DomainLifetime.Transient);
        }

        try
        {
            await domain.StartAsync(cancellationToken).ConfigureAwait(false);
            return domain;
        }
        catch
        {
            ForgetIfGone(domain);
            throw;
        }
    }

    internal async ValueTask StopAsync(Domain domain, CancellationToken cancellationToken)
    {
        try
        {
            await domain.ShutOffAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            ForgetIfGone(domain);
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

    private void ForgetIfGone(Domain domain)
    {
        lock (_gate)
        {
            if (!domain.IsPersistent && domain.State == DomainState.ShutOff && _domains.GetValueOrDefault(domain.Name) == domain)
            {
                _domains.Remove(domain.Name);
            }
        }
    }
}
