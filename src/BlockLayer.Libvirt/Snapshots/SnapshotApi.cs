namespace BlockLayer.Libvirt;

/// <summary>
/// libvirt's calls about snapshots of domains (<c>virDomainSnapshot*</c>), with the proposed <c>&lt;on_delete merge='forward|backward'/&gt;</c>. All disks of a snapshot are changed
/// together, or none is.
/// </summary>
/// <param name="connection">Whose rights count, and which keeps the error of a compatible call.</param>
/// <remarks>A domain that is shut off is worked on as well: its disks are opened for as long as it takes, and it cannot be started meanwhile.</remarks>
public sealed class SnapshotApi(LibvirtConnection connection)
{
    /// <summary>Makes a snapshot (<c>virDomainSnapshotCreateXML</c>): every disk that takes part goes on with a new file from one moment on.</summary>
    /// <exception cref="LibvirtException">
    /// OperationDenied; InvalidArg, ArgumentUnsupported: the flags; XmlDetail, XmlError, ConfigUnsupported: what the description asks for; OperationInvalid: the name is taken, or
    /// a deletion has not ended; BlockCopyActive, OperationUnsupported: a job runs on a disk.
    /// </exception>
    /// <exception cref="Errors.BlockLayerException">A new file cannot be made or used. The disks are as they were.</exception>
    public async ValueTask<SnapshotRecord> CreateAsync(
        Domain domain, string xml, SnapshotCreateFlags flags = SnapshotCreateFlags.None, CancellationToken cancellationToken = default)
    {
        connection.RequireWrite();
        connection.RequireOwn(domain);
        SnapshotRules.Check(flags);
        var definition = SnapshotDefinition.Parse(xml);
        DomainSnapshots snapshots = await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        SnapshotRecord made = await snapshots.CreateAsync(definition, flags, cancellationToken).ConfigureAwait(false);
        if ((flags & SnapshotCreateFlags.Halt) != 0 && domain.State == DomainState.Running)
        {
            await connection.ShutOffAsync(domain, CancellationToken.None).ConfigureAwait(false);
        }

        return made;
    }

    /// <summary>The same as libvirt answers it: null for a failure, whose reason is in <see cref="LibvirtConnection.LastError"/>.</summary>
    public async ValueTask<SnapshotRecord?> TryCreateAsync(Domain domain, string xml, SnapshotCreateFlags flags = SnapshotCreateFlags.None)
    {
        SnapshotRecord? made = null;
        await connection.TryAsync(async () =>
        {
            made = await CreateAsync(domain, xml, flags).ConfigureAwait(false);
            return 0;
        }).ConfigureAwait(false);
        return made;
    }

    /// <summary>
    /// All snapshots of a domain: which exist, which is current, who was made from whom (<c>virDomainListAllSnapshots</c>, <c>virDomainSnapshotCurrent</c>,
    /// <c>virDomainSnapshotGetParent</c>, <c>virDomainSnapshotListAllChildren</c>). Their descriptions are <see cref="SnapshotRecord.GetXml"/>.
    /// </summary>
    /// <returns>As it is now; it does not change later.</returns>
    /// <exception cref="LibvirtException">InvalidConnection; ConfigUnsupported: the host remembers none; InvalidDomainSnapshot: what it remembers is damaged.</exception>
    public async ValueTask<SnapshotTree> ListAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        connection.RequireOpen();
        connection.RequireOwn(domain);
        return (await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false)).Tree;
    }

    /// <summary>A deletion that could not be ended; null for none. <see cref="FinishDeletionAsync"/> goes on with it, and so does the next start of the domain.</summary>
    /// <exception cref="LibvirtException">As for <see cref="ListAsync"/>.</exception>
    public async ValueTask<SnapshotDeletion?> GetDeletionAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        connection.RequireOpen();
        connection.RequireOwn(domain);
        return (await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false)).Deletion;
    }

    /// <summary>
    /// Deletes a snapshot (<c>virDomainSnapshotDelete</c>): its two files of each disk become one, the way that the disk was given at the snapshot, while guests go on. No disk switches
    /// before the data of all of them is where it has to be. The files of a snapshot that the disks have left, and on which nothing was made, are just removed.
    /// </summary>
    /// <param name="domain">Whose.</param>
    /// <param name="name">Which.</param>
    /// <param name="flags">Only what is remembered, and of whom; files of children are not deleted.</param>
    /// <param name="cancellationToken">Honoured until the disks switch; what was done is taken back then.</param>
    /// <exception cref="LibvirtException">
    /// OperationDenied; InvalidArg; NoDomainSnapshot; OperationInvalid: it is marked by a deletion that has not ended; OperationFailed: the disks' files are not those of the snapshot;
    /// OperationUnsupported: children, or something would be destroyed (the message names it), or a job runs on a disk (also BlockCopyActive).
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled and taken back.</exception>
    /// <exception cref="Errors.BlockLayerException">It failed. It was taken back, unless <see cref="GetDeletionAsync"/> says that it has to be finished.</exception>
    public async ValueTask DeleteAsync(
        Domain domain, string name, SnapshotDeleteFlags flags = SnapshotDeleteFlags.None, CancellationToken cancellationToken = default)
    {
        connection.RequireWrite();
        connection.RequireOwn(domain);
        SnapshotRules.Check(flags);
        DomainSnapshots snapshots = await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        await snapshots.DeleteAsync(name, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The same as libvirt answers it: 0, or -1 with the reason in <see cref="LibvirtConnection.LastError"/>.</summary>
    public ValueTask<int> TryDeleteAsync(Domain domain, string name, SnapshotDeleteFlags flags = SnapshotDeleteFlags.None) => connection.TryAsync(async () =>
    {
        await DeleteAsync(domain, name, flags).ConfigureAwait(false);
        return 0;
    });

    /// <summary>Goes on with a deletion that could not be ended; without one, does nothing.</summary>
    /// <exception cref="LibvirtException">OperationDenied, and as for <see cref="DeleteAsync"/>.</exception>
    /// <exception cref="Errors.BlockLayerException">It could still not be ended.</exception>
    public async ValueTask FinishDeletionAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        connection.RequireWrite();
        connection.RequireOwn(domain);
        DomainSnapshots snapshots = await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        await snapshots.FinishAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes a snapshot the current one, or none, for whoever has put the disks on an overlay of its files by other means: the next snapshot is its child.</summary>
    /// <exception cref="LibvirtException">OperationDenied; NoDomainSnapshot; OperationInvalid: a deletion has not ended.</exception>
    /// <exception cref="Errors.BlockLayerException">It cannot be noted.</exception>
    public async ValueTask SetCurrentAsync(Domain domain, string? name, CancellationToken cancellationToken = default)
    {
        connection.RequireWrite();
        connection.RequireOwn(domain);
        DomainSnapshots snapshots = await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        await snapshots.SetCurrentAsync(name, cancellationToken).ConfigureAwait(false);
    }
}
