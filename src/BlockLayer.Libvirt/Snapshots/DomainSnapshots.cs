using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>The snapshots of one domain: makes them, deletes them, and ends what a crash has left.</summary>
/// <remarks>
/// One thing at a time is done: who holds the turn. It is taken after the domain's lifecycle lock, never before. The gate guards what a stop needs to end it.
/// </remarks>
internal sealed class DomainSnapshots(Domain domain, SnapshotStore store)
{
    private readonly AsyncLock _turn = new();
    private readonly Lock _gate = new();
    private CancellationTokenSource? _work; // guarded by _gate

    internal SnapshotTree Tree => store.Tree;

    internal SnapshotDeletion? Deletion => store.Deletion;

    internal IReadOnlyList<ActiveImage> Active => store.Active;

    private DiskOptions Options => domain.Host.Options.Disks;

    /// <summary>
    /// Makes a snapshot: all disks that take part go on with new files from one moment on, or none does. It is remembered while the guests are held back at that moment: after a crash
    /// before it, the disks are as they were, and the next start removes the new files.
    /// </summary>
    /// <exception cref="LibvirtException">As for <see cref="SnapshotPlan.Make"/>; OperationInvalid: the name is taken, or a deletion has not ended.</exception>
    /// <exception cref="BlockLayerException">A new file cannot be made or used; the disks are as they were.</exception>
    internal async ValueTask<SnapshotRecord> CreateAsync(SnapshotDefinition definition, SnapshotCreateFlags flags, CancellationToken cancellationToken)
    {
        (SnapshotRecord made, LibvirtError? lateError) = await RunAsync(
            async (disks, token) =>
            {
                RequireNoDeletion();
                SnapshotRecord record = SnapshotPlan.Make(definition, flags, domain, disks, store.Tree.CurrentName);
                if ((flags & SnapshotCreateFlags.NoMetadata) == 0 && store.Tree.TryFind(record.Name) is not null)
                {
                    throw Invalid($"There is a snapshot '{record.Name}' already.");
                }

                foreach (DomainDisk disk in disks)
                {
                    disk.ThrowIfOccupied();
                }

                return await new SnapshotCreator(domain, store).CreateAsync(disks, record, flags, token).ConfigureAwait(false);
            },
            cancellationToken).ConfigureAwait(false);
        return made with { LateError = made.LateError ?? lateError };
    }

    /// <summary>Deletes a snapshot.</summary>
    /// <returns>What went wrong behind the deletion and does not change it; null for nothing.</returns>
    /// <exception cref="LibvirtException">As libvirt refuses; see <see cref="SnapshotRules"/> and <see cref="DeletionPlan"/>.</exception>
    /// <exception cref="BlockLayerException">It could not be done. It was taken back, unless <see cref="Deletion"/> says otherwise.</exception>
    internal async ValueTask<LibvirtError?> DeleteAsync(string name, SnapshotDeleteFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & SnapshotDeleteFlags.MetadataOnly) != 0)
        {
            await ForgetAsync(name, flags, cancellationToken).ConfigureAwait(false);
            return null;
        }

        (LibvirtError? error, LibvirtError? lateError) = await RunAsync(
            async (disks, token) =>
            {
                SnapshotRecord record = store.Tree.Find(name);
                SnapshotRules.CheckDelete(record, flags);
                RequireNoDeletion();
                var deleter = new SnapshotDeleter(domain, store);
                if (store.Tree.CurrentName == name || store.Tree.ChildrenOf(name).Count > 0)
                {
                    return await deleter.DeleteAsync(disks, record, token).ConfigureAwait(false);
                }

                await store.BeginDeletionAsync(await DeletionPlan.MakeForLeafAsync(domain, disks, store.Tree, record, token).ConfigureAwait(false), token).ConfigureAwait(false);
                await deleter.SettleAsync(CancellationToken.None).ConfigureAwait(false);
                return null;
            },
            cancellationToken).ConfigureAwait(false);
        return error ?? lateError;
    }

    /// <summary>Goes on with a deletion that could not be finished; without one, does nothing.</summary>
    /// <returns><inheritdoc cref="DeleteAsync" path="/returns"/></returns>
    internal async ValueTask<LibvirtError?> FinishAsync(CancellationToken cancellationToken)
    {
        (LibvirtError? error, LibvirtError? lateError) = await RunAsync(
            async (disks, token) => store.Deletion is null ? null : await new SnapshotDeleter(domain, store).FinishAsync(disks, token).ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
        return error ?? lateError;
    }

    /// <summary>Makes another snapshot the current one, after its disks were put in place by other means.</summary>
    internal async ValueTask SetCurrentAsync(string? name, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        await store.SetCurrentAsync(name, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// What a start begins with: a creation that a crash interrupted is undone; a deletion is taken back if no disk can have switched, else finished. The domain does not run, and its
    /// lifecycle lock is held.
    /// </summary>
    internal async ValueTask RecoverAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        await new SnapshotCreator(domain, store).UndoAsync(cancellationToken).ConfigureAwait(false);
        if (store.Deletion is not { } deletion)
        {
            return;
        }

        if (!deletion.MustFinish)
        {
            await store.AbandonDeletionAsync(deletion.Snapshot, cancellationToken).ConfigureAwait(false);
            return;
        }

        DiskDefinition[] needed = [.. deletion.Disks.Where(static disk => disk.Stage != DeletionStage.Switched).Select(disk => new DiskDefinition
        {
            Target = disk.Target,
            Source = new DiskSource(IsBlockDevice: false, disk.ActivePath),
            Format = disk.ActiveFormat,
        })];
        IReadOnlyList<DomainDisk> disks = await new DiskOpener(Options).OpenAllAsync(needed, cancellationToken).ConfigureAwait(false);
        try
        {
            _ = await new SnapshotDeleter(domain, store).FinishAsync(disks, cancellationToken).ConfigureAwait(false); // what is not needed any more could not be closed, and is gone by now
        }
        catch
        {
            await Domain.CloseAsync(disks).ConfigureAwait(false); // what went wrong first is told
            throw;
        }

        Domain.ThrowIfAny(await Domain.CloseAsync(disks).ConfigureAwait(false));
    }

    /// <summary>Ends what is being done, as far as it can be taken back, and lets nobody begin until the result is disposed.</summary>
    internal async ValueTask<IDisposable> StopAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _work?.Cancel();
        }

        return await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask ForgetAsync(string name, SnapshotDeleteFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        SnapshotRecord record = store.Tree.Find(name);
        bool withChildren = (flags & (SnapshotDeleteFlags.Children | SnapshotDeleteFlags.ChildrenOnly)) != 0;
        foreach (SnapshotRecord child in withChildren ? store.Tree.DescendantsOf(name).Reverse() : [])
        {
            await store.ForgetAsync(child.Name, cancellationToken).ConfigureAwait(false);
        }

        if ((flags & SnapshotDeleteFlags.ChildrenOnly) == 0)
        {
            await store.ForgetAsync(record.Name, cancellationToken).ConfigureAwait(false);
        }
    }

    private ValueTask<(T Result, LibvirtError? LateError)> RunAsync<T>(Func<IReadOnlyList<DomainDisk>, CancellationToken, ValueTask<T>> work, CancellationToken cancellationToken) => domain.WithDisksAsync(
        async disks =>
        {
            using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
            if (disks.Any(static disk => disk.Open is null && disk.Source is not null) || domain.IsStopping)
            {
                throw Invalid($"The domain '{domain.Name}' was just stopped.");
            }

            using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            SetWork(ended);
            try
            {
                await new SnapshotCreator(domain, store).UndoAsync(ended.Token).ConfigureAwait(false); // of one that failed, and could not be undone then
                return await work(disks, ended.Token).ConfigureAwait(false);
            }
            finally
            {
                SetWork(null);
            }
        },
        cancellationToken);

    private void SetWork(CancellationTokenSource? work)
    {
        lock (_gate)
        {
            _work = work;
        }
    }

    private void RequireNoDeletion()
    {
        if (store.Deletion is { } deletion)
        {
            throw Invalid($"The deletion of the snapshot '{deletion.Snapshot}' has not ended; finish it first.");
        }
    }

    private static LibvirtException Invalid(string message) => new(LibvirtErrorCode.OperationInvalid, LibvirtErrorDomain.DomainSnapshot, message);
}
