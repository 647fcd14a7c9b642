namespace BlockLayer.Libvirt;

/// <summary>
/// libvirt's calls about snapshots of domains with its answers: null or -1 for a failure that <see cref="LibvirtConnection.LastError"/> explains. Each call is the one of
/// <see cref="SnapshotApi"/> that its comment names, and nothing else. A snapshot is its record, whose fields and <see cref="SnapshotRecord.GetXml"/> answer what is asked of it.
/// </summary>
public sealed class SnapshotCalls
{
    private readonly LibvirtConnection _connection;
    private readonly SnapshotApi _api;

    /// <summary>The calls on a connection.</summary>
    public SnapshotCalls(LibvirtConnection connection) => (_connection, _api) = (connection, new SnapshotApi(connection));

    /// <inheritdoc cref="SnapshotApi.CreateAsync"/>
    public ValueTask<SnapshotRecord?> SnapshotCreateXml(Domain domain, string xml, SnapshotCreateFlags flags)
        => TryAsync(async () => await _api.CreateAsync(domain, xml, flags).ConfigureAwait(false));

    /// <summary>How many snapshots there are; <see cref="SnapshotApi.ListAsync"/>.</summary>
    public ValueTask<int> SnapshotNum(Domain domain)
        => _connection.TryAsync(async () => (await _api.ListAsync(domain).ConfigureAwait(false)).All.Count);

    /// <summary>The snapshot of that name; <see cref="SnapshotApi.ListAsync"/>.</summary>
    public ValueTask<SnapshotRecord?> SnapshotLookupByName(Domain domain, string name) => FindAsync(domain, tree => tree.Find(name));

    /// <summary>The current snapshot; <see cref="SnapshotApi.ListAsync"/>.</summary>
    public ValueTask<SnapshotRecord?> SnapshotCurrent(Domain domain) => FindAsync(domain, static tree => tree.Current);

    /// <summary>The snapshot that one was made from; <see cref="SnapshotApi.ListAsync"/>.</summary>
    public ValueTask<SnapshotRecord?> SnapshotGetParent(Domain domain, string name) => FindAsync(domain, tree => tree.ParentOf(name));

    /// <summary>How many snapshots were made from one; <see cref="SnapshotApi.ListAsync"/>.</summary>
    public ValueTask<int> SnapshotNumChildren(Domain domain, string name) => _connection.TryAsync(async () =>
    {
        SnapshotTree tree = await _api.ListAsync(domain).ConfigureAwait(false);
        return tree.ChildrenOf(tree.Find(name).Name).Count;
    });

    /// <inheritdoc cref="SnapshotApi.DeleteAsync"/>
    /// <returns>0, or -1.</returns>
    public ValueTask<int> SnapshotDelete(Domain domain, string name, SnapshotDeleteFlags flags)
        => _connection.TryDoAsync(async () => await _api.DeleteAsync(domain, name, flags).ConfigureAwait(false));

    private ValueTask<SnapshotRecord?> FindAsync(Domain domain, Func<SnapshotTree, SnapshotRecord> find)
        => TryAsync(async () => find(await _api.ListAsync(domain).ConfigureAwait(false)));

    private async ValueTask<SnapshotRecord?> TryAsync(Func<ValueTask<SnapshotRecord>> call)
    {
        SnapshotRecord? found = null;
        await _connection.TryDoAsync(async () => found = await call().ConfigureAwait(false)).ConfigureAwait(false);
        return found;
    }
}
