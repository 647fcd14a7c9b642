using BlockLayer.Errors;

namespace BlockLayer.Libvirt;

/// <summary>
/// libvirt's calls about snapshots of domains (<c>virDomainSnapshot*</c>), with the proposed <c>&lt;on_delete merge='forward|backward'/&gt;</c>. All disks of a snapshot are changed
/// together, or none is. <see cref="SnapshotCalls"/> has the same calls with 0 and -1.
/// </summary>
/// <remarks>
/// A domain that is shut off is worked on as well: its disks are opened for as long as it takes, and it cannot be started meanwhile. What the block layer refuses or
/// cannot do is told as a <see cref="LibvirtException"/> with the code that the README lists.
/// </remarks>
public sealed class SnapshotApi
{
    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public SnapshotApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>Makes a snapshot (<c>virDomainSnapshotCreateXML</c>): every disk that takes part goes on with a new file from one moment on.</summary>
    /// <returns>The snapshot; <see cref="SnapshotRecord.LateError"/> tells what went wrong when it was made already.</returns>
    /// <exception cref="LibvirtException">
    /// OperationDenied; InvalidArg, ArgumentUnsupported: the flags; XmlDetail, XmlError, ConfigUnsupported: what the description asks for; OperationInvalid: the name is taken, a deletion has not
    /// ended, or HALT is given and the domain is transient; BlockCopyActive, OperationUnsupported: a job runs on a disk; or a new file cannot be made or used. The disks are as they were, and
    /// what was made is removed; OperationFailed where that has to wait for the next snapshot, deletion or start.
    /// </exception>
    public async ValueTask<SnapshotRecord> CreateAsync(
        Domain domain, string xml, SnapshotCreateFlags flags = SnapshotCreateFlags.None, CancellationToken cancellationToken = default)
    {
        _connection.RequireWrite();
        _connection.RequireOwn(domain);
        SnapshotRules.Check(flags);
        SnapshotRules.CheckHalt(flags, domain);
        var definition = SnapshotDefinition.Parse(xml);
        SnapshotRecord made = await OnAsync(domain, snapshots => snapshots.CreateAsync(definition, flags, cancellationToken), cancellationToken).ConfigureAwait(false);
        if ((flags & SnapshotCreateFlags.Halt) == 0 || domain.State != DomainState.Running)
        {
            return made;
        }

        try
        {
            await _connection.ShutOffAsync(domain, CancellationToken.None).ConfigureAwait(false);
            return made;
        }
        catch (LibvirtException error)
        {
            return made with { LateError = made.LateError ?? error.Error }; // a disk could not be closed well; the domain is shut off
        }
    }

    /// <summary>
    /// All snapshots of a domain: which exist, which is current, who was made from whom (<c>virDomainListAllSnapshots</c>, <c>virDomainSnapshotCurrent</c>,
    /// <c>virDomainSnapshotGetParent</c>, <c>virDomainSnapshotListAllChildren</c>). Their descriptions are <see cref="SnapshotRecord.GetXml"/>.
    /// </summary>
    /// <returns>As it is now; it does not change later.</returns>
    /// <exception cref="LibvirtException">InvalidConnection; ConfigUnsupported: the host remembers none; InvalidDomainSnapshot: what it remembers is damaged.</exception>
    public ValueTask<SnapshotTree> ListAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        _connection.RequireOpen();
        _connection.RequireOwn(domain);
        return OnAsync(domain, static snapshots => ValueTask.FromResult(snapshots.Tree), cancellationToken);
    }

    /// <summary>A deletion that could not be ended; null for none. <see cref="FinishDeletionAsync"/> goes on with it, and so does the next start of the domain.</summary>
    /// <exception cref="LibvirtException">As for <see cref="ListAsync"/>.</exception>
    public ValueTask<SnapshotDeletion?> GetDeletionAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        _connection.RequireOpen();
        _connection.RequireOwn(domain);
        return OnAsync(domain, static snapshots => ValueTask.FromResult(snapshots.Deletion), cancellationToken);
    }

    /// <summary>
    /// Deletes a snapshot (<c>virDomainSnapshotDelete</c>): its two files of each disk become one, the way that the disk was given at the snapshot, while guests go on. No disk switches
    /// before the data of all of them is where it has to be. The files of a snapshot that the disks have left, and on which nothing was made, are just removed.
    /// </summary>
    /// <param name="domain">Whose.</param>
    /// <param name="name">Which.</param>
    /// <param name="flags">Only what is remembered, and of whom; files of children are not deleted.</param>
    /// <param name="cancellationToken">Honoured until the disks switch; what was done is taken back then.</param>
    /// <returns>
    /// What went wrong when it was deleted already, the first of several, which the event of the disk's job tells too: a file that is not needed any more could not be closed. Of a domain that is shut
    /// off also a disk that could not be closed well. Null for nothing.
    /// </returns>
    /// <exception cref="LibvirtException">
    /// OperationDenied; InvalidArg; NoDomainSnapshot; OperationInvalid: it is marked by a deletion that has not ended; OperationFailed: the disks' files are not those of the snapshot;
    /// OperationUnsupported: children, or something would be destroyed (the message names it), or a job runs on a disk (also BlockCopyActive); or why it failed. It was taken back then,
    /// unless <see cref="GetDeletionAsync"/> says that it has to be finished.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled, by the token or at one of its jobs, and taken back.</exception>
    public async ValueTask<LibvirtError?> DeleteAsync(
        Domain domain, string name, SnapshotDeleteFlags flags = SnapshotDeleteFlags.None, CancellationToken cancellationToken = default)
    {
        _connection.RequireWrite();
        _connection.RequireOwn(domain);
        SnapshotRules.Check(flags);
        return await OnAsync(domain, snapshots => snapshots.DeleteAsync(name, flags, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Goes on with a deletion that could not be ended; without one, does nothing.</summary>
    /// <returns><inheritdoc cref="DeleteAsync" path="/returns"/></returns>
    /// <exception cref="LibvirtException">OperationDenied, and as for <see cref="DeleteAsync"/>; or why it could still not be ended.</exception>
    public async ValueTask<LibvirtError?> FinishDeletionAsync(Domain domain, CancellationToken cancellationToken = default)
    {
        _connection.RequireWrite();
        _connection.RequireOwn(domain);
        return await OnAsync(domain, snapshots => snapshots.FinishAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes a snapshot the current one, or none, for whoever has put the disks on an overlay of its files by other means: the next snapshot is its child.</summary>
    /// <exception cref="LibvirtException">OperationDenied; NoDomainSnapshot; OperationInvalid: a deletion has not ended; or it cannot be noted.</exception>
    public async ValueTask SetCurrentAsync(Domain domain, string? name, CancellationToken cancellationToken = default)
    {
        _connection.RequireWrite();
        _connection.RequireOwn(domain);
        await OnAsync(domain, snapshots => snapshots.SetCurrentAsync(name, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask OnAsync(Domain domain, Func<DomainSnapshots, ValueTask> work, CancellationToken cancellationToken) => await OnAsync(
        domain,
        async snapshots =>
        {
            await work(snapshots).ConfigureAwait(false);
            return true;
        },
        cancellationToken).ConfigureAwait(false);

    private static async ValueTask<T> OnAsync<T>(Domain domain, Func<DomainSnapshots, ValueTask<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await work(await domain.OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }
}
