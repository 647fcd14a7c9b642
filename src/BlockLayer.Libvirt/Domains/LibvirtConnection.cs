namespace BlockLayer.Libvirt;

/// <summary>
/// A program's way to the domains of a host (libvirt's <c>virConnectPtr</c>): what it may do, what it listens to, and which error its last compatible call left.
/// </summary>
/// <remarks>
/// Calls that answer as libvirt's do, with -1, keep the reason here instead of in the calling thread, because an asynchronous call has no thread of its own. So programs that make such
/// calls side by side make a connection for each of them.
/// </remarks>
public sealed partial class LibvirtConnection : IDisposable
{
    private volatile bool _isClosed;

    internal LibvirtConnection(LibvirtHost host, ConnectionAccess access)
    {
        Host = host;
        IsReadOnly = access == ConnectionAccess.ReadOnly;
    }

    /// <summary>The host.</summary>
    public LibvirtHost Host { get; }

    /// <summary>True when calls that change something are refused.</summary>
    public bool IsReadOnly { get; }

    /// <summary>All domains, by name.</summary>
    public IReadOnlyList<Domain> Domains => Host.Domains;

    /// <summary>The domain of that name (<c>virDomainLookupByName</c>).</summary>
    /// <exception cref="LibvirtException">NoDomain.</exception>
    public Domain FindDomain(string name)
        => Host.Domains.FirstOrDefault(domain => domain.Name == name)
            ?? throw new LibvirtException(LibvirtErrorCode.NoDomain, LibvirtErrorDomain.Qemu, $"There is no domain '{name}'.");

    /// <summary>
    /// Defines a persistent domain, which is shut off, or gives one that exists another definition for its next start and makes it persistent (<c>virDomainDefineXML</c>).
    /// </summary>
    /// <exception cref="LibvirtException">OperationDenied; XmlDetail, XmlError, ConfigUnsupported: the description.</exception>
    public Domain Define(string xml)
    {
        RequireWrite();
        return Host.Define(DomainDefinition.Parse(xml));
    }

    /// <summary>Makes a transient domain and starts it; it is gone when it stops (<c>virDomainCreateXML</c>).</summary>
    /// <exception cref="LibvirtException">As for <see cref="Define"/> and <see cref="StartAsync"/>; DomainExists.</exception>
    public ValueTask<Domain> CreateAsync(string xml, CancellationToken cancellationToken = default)
    {
        RequireWrite();
        return Host.CreateAsync(DomainDefinition.Parse(xml), cancellationToken);
    }

    /// <summary>Opens the disks of a domain that is shut off: all, or none (<c>virDomainCreate</c>).</summary>
    /// <exception cref="LibvirtException">OperationDenied; OperationInvalid: it runs already; NoDomain: it was transient or undefined, and is gone; and why which disk could not be opened.</exception>
    public ValueTask StartAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        RequireWrite();
        RequireOwn(domain);
        return Host.StartAsync(domain, cancellationToken);
    }

    /// <summary>Cancels what runs on the disks of a domain and closes them (<c>virDomainDestroy</c>). A transient domain is gone then.</summary>
    /// <exception cref="LibvirtException">OperationDenied; OperationInvalid: it does not run; or a disk could not be closed well, though it is closed.</exception>
    public ValueTask ShutOffAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        RequireWrite();
        RequireOwn(domain);
        return Host.StopAsync(domain, cancellationToken);
    }

    /// <summary>Makes a domain transient; one that is shut off is gone (<c>virDomainUndefine</c>). Images are not touched.</summary>
    /// <exception cref="LibvirtException">OperationDenied; OperationInvalid: it is transient.</exception>
    public void Undefine(Domain domain)
    {
        RequireWrite();
        RequireOwn(domain);
        Host.Undefine(domain);
    }

    /// <summary>Ends the connection: it hears of nothing any more. The domains go on.</summary>
    public void Dispose()
    {
        _isClosed = true;
        Host.Forget(this);
        StopListening();
    }
}
