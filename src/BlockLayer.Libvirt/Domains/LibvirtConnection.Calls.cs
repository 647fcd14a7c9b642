namespace BlockLayer.Libvirt;

// How calls begin, whoever they belong to, and how compatible ones end.
public sealed partial class LibvirtConnection
{
    private volatile LibvirtError _lastError = LibvirtError.None;

    /// <summary>Why the last compatible call answered -1; <see cref="LibvirtError.None"/> if it did not (<c>virConnGetLastError</c>).</summary>
    public LibvirtError LastError => _lastError;

    /// <summary>
    /// What every call that changes something about a disk begins with, refusing in libvirt's order: the connection, the disk that is not named, the flags, the domain that does not run,
    /// the disk that does not exist.
    /// </summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">As the caller named it.</param>
    /// <param name="checkFlags">The call's rule of <see cref="CallRules"/>.</param>
    /// <exception cref="LibvirtException">Any of those.</exception>
    internal DomainDisk BeginChange(Domain domain, string? disk, Action checkFlags)
    {
        RequireWrite();
        return Begin(domain, disk, checkFlags);
    }

    /// <summary>The same for a call that only looks, which a read-only connection may make too.</summary>
    /// <inheritdoc cref="BeginChange"/>
    internal DomainDisk BeginQuery(Domain domain, string? disk, Action checkFlags)
    {
        RequireOpen();
        return Begin(domain, disk, checkFlags);
    }

    /// <summary>Every call that changes something begins with this.</summary>
    /// <exception cref="LibvirtException">OperationDenied, InvalidConnection.</exception>
    internal void RequireWrite()
    {
        RequireOpen();
        if (IsReadOnly)
        {
            throw new LibvirtException(LibvirtErrorCode.OperationDenied, LibvirtErrorDomain.Domain, "The connection is read-only.");
        }
    }

    /// <summary>Every call that changes nothing begins with this.</summary>
    /// <exception cref="LibvirtException">InvalidConnection.</exception>
    internal void RequireOpen()
    {
        if (_isClosed)
        {
            throw new LibvirtException(LibvirtErrorCode.InvalidConnection, LibvirtErrorDomain.Domain, "The connection was closed.");
        }
    }

    /// <summary>Makes sure that a domain belongs to this connection's host.</summary>
    /// <exception cref="LibvirtException">InvalidDomain.</exception>
    internal void RequireOwn(Domain domain)
    {
        if (domain.Host != Host)
        {
            throw new LibvirtException(LibvirtErrorCode.InvalidDomain, LibvirtErrorDomain.Domain, $"The domain '{domain.Name}' belongs to another host.");
        }
    }

    /// <summary>Makes a compatible call of an idiomatic one: -1 instead of an exception, and the reason in <see cref="LastError"/>.</summary>
    /// <param name="call">Its answer is the call's; mistakes of the program, such as a null where none is allowed, are still thrown.</param>
    internal async ValueTask<int> TryAsync(Func<ValueTask<int>> call)
        => (int)await TryOffsetAsync(async () => await call().ConfigureAwait(false)).ConfigureAwait(false);

    /// <summary>The same for a call whose answer is 0: it starts a job.</summary>
    internal ValueTask<int> TryStartAsync(Func<ValueTask<DiskJob>> call)
        => TryAsync(async () =>
        {
            await call().ConfigureAwait(false);
            return 0;
        });

    /// <summary>The same for a call whose answer is 0.</summary>
    internal ValueTask<int> TryDoAsync(Func<ValueTask> call)
        => TryAsync(async () =>
        {
            await call().ConfigureAwait(false);
            return 0;
        });

    /// <summary>The same for a call that waits for nothing.</summary>
    internal int Try(Func<int> call)
    {
        _lastError = LibvirtError.None;
        try
        {
            return call();
        }
        catch (Exception failure) when (LibvirtError.From(failure) is { } error)
        {
            _lastError = error;
            return -1;
        }
    }

    /// <summary>The same for the first generation, whose answer is an offset.</summary>
    internal async ValueTask<long> TryOffsetAsync(Func<ValueTask<long>> call)
    {
        _lastError = LibvirtError.None;
        try
        {
            return await call().ConfigureAwait(false);
        }
        catch (Exception failure) when (LibvirtError.From(failure) is { } error)
        {
            _lastError = error;
            return -1;
        }
    }

    private DomainDisk Begin(Domain domain, string? disk, Action checkFlags)
    {
        RequireOwn(domain);
        string name = CallRules.RequireDisk(disk);
        checkFlags();
        domain.RequireRunning();
        return domain.FindDisk(name);
    }
}
