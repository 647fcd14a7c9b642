using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

// What snapshots of a domain have to do with its starts and stops.
public sealed partial class Domain
{
    private readonly AsyncLock _opening = new();
    private DomainSnapshots? _snapshots;  // guarded by _gate; set once, under _opening
    private volatile bool _isStopping;

    /// <summary>True from the moment that somebody wants the domain to stop.</summary>
    internal bool IsStopping => _isStopping;

    /// <summary>The images that its disks use, and those that its definitions lead to.</summary>
    internal IReadOnlyList<string> NamedPaths
    {
        get
        {
            DomainDefinition[] definitions;
            IReadOnlyList<DomainDisk> disks;
            lock (_gate)
            {
                (definitions, disks) = ([_definition, _running], _disks);
            }

            IEnumerable<DiskDefinition> defined = definitions.SelectMany(static definition => definition.Disks);
            IEnumerable<DiskSource?> sources = defined.SelectMany(static disk => disk.Declared.Select(static layer => layer.Source).Append(disk.Source));
            return [.. sources.OfType<DiskSource>().Select(static source => source.Path), .. disks.SelectMany(static disk => disk.Chain).Select(static element => element.Path)];
        }
    }

    /// <summary>What is remembered of the domain's snapshots.</summary>
    /// <exception cref="LibvirtException">ConfigUnsupported: the host remembers none; InvalidDomainSnapshot: the file is damaged.</exception>
    /// <exception cref="BlockLayerException">The file cannot be read.</exception>
    internal async ValueTask<DomainSnapshots> OpenSnapshotsAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _opening.EnterAsync(cancellationToken).ConfigureAwait(false);
        if (_snapshots is { } known)
        {
            return known;
        }

        string folder = _host.Options.SnapshotFolder ?? throw new LibvirtException(
            LibvirtErrorCode.ConfigUnsupported,
            LibvirtErrorDomain.DomainSnapshot,
            $"The snapshots of '{Name}' have no place to be remembered: the host has no folder for snapshots.");
        SnapshotStore store = await SnapshotStore.OpenAsync(folder, Name, _host.Options.Disks.Environment.Files, cancellationToken).ConfigureAwait(false);
        var opened = new DomainSnapshots(this, store);
        lock (_gate)
        {
            _snapshots = opened;
        }

        return opened;
    }

    /// <summary>
    /// Works on the disks: on those of the domain, if it runs, else on disks that are opened for as long as it takes, while nobody can start the domain. What the work makes the
    /// active images is what the next start opens.
    /// </summary>
    /// <returns>What the work returned and, of disks that were opened for it, what kept one from being closed well; that changes nothing of what was done.</returns>
    internal async ValueTask<(T Result, LibvirtError? LateError)> WithDisksAsync<T>(Func<IReadOnlyList<DomainDisk>, ValueTask<T>> work, CancellationToken cancellationToken)
    {
        if (Id is null)
        {
            using AsyncLock.Releaser turn = await _lifecycle.EnterAsync(cancellationToken).ConfigureAwait(false);
            if (Id is null)
            {
                return await WithOpenedDisksAsync(work, cancellationToken).ConfigureAwait(false);
            }
        }

        return (await work(Disks).ConfigureAwait(false), null);
    }

    private async ValueTask<(T Result, LibvirtError? LateError)> WithOpenedDisksAsync<T>(Func<IReadOnlyList<DomainDisk>, ValueTask<T>> work, CancellationToken cancellationToken)
    {
        DomainDefinition definition = await SettleSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        IReadOnlyList<DomainDisk> opened = await new DiskOpener(_host.Options.Disks).OpenAllAsync(definition.Disks, cancellationToken).ConfigureAwait(false);
        T result;
        try
        {
            result = await work(opened).ConfigureAwait(false);
        }
        catch
        {
            await CloseAfterWorkAsync(definition, opened).ConfigureAwait(false); // what went wrong first is told
            throw;
        }

        List<Exception> failures = await CloseAfterWorkAsync(definition, opened).ConfigureAwait(false);
        return (result, LibvirtError.Of(failures.FirstOrDefault()));
    }

    private async ValueTask<List<Exception>> CloseAfterWorkAsync(DomainDefinition definition, IReadOnlyList<DomainDisk> opened)
    {
        List<Exception> failures = await CloseAsync(opened).ConfigureAwait(false);
        lock (_gate)
        {
            _definition = _running = Followed(definition, opened);
            _disks = Closed(_definition);
        }

        return failures;
    }

    // Before disks are opened: ends what a crash has left of a creation or deletion, and finds out which images are active. The caller holds the lifecycle lock, and the domain does not run.
    private async ValueTask<DomainDefinition> SettleSnapshotsAsync(CancellationToken cancellationToken)
    {
        DomainDefinition definition;
        lock (_gate)
        {
            definition = _definition;
        }

        if (_host.Options.SnapshotFolder is null)
        {
            return definition;
        }

        DomainSnapshots snapshots;
        try
        {
            snapshots = await OpenSnapshotsAsync(cancellationToken).ConfigureAwait(false);
            await snapshots.RecoverAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            LibvirtError told = LibvirtError.Of(error);
            throw new LibvirtException(told with { Message = $"What a crash has left of the snapshots of '{Name}' cannot be ended: {told.Message}" }, error);
        }

        DomainDisk[] followed = [.. definition.Disks.Select(disk => Follow(disk, snapshots.Active)).OfType<DomainDisk>()];
        if (followed.Length == 0)
        {
            return definition;
        }

        DomainDefinition now = definition.With(followed);
        lock (_gate)
        {
            if (ReferenceEquals(_definition, definition)) // else somebody has just written another
            {
                (_definition, _running, _disks) = (now, now, Closed(now));
            }
        }

        return now;
    }

    // The disk with the image that took the place of the one its definition names; null where that is right.
    private DomainDisk? Follow(DiskDefinition disk, IReadOnlyList<ActiveImage> active)
        => active.FirstOrDefault(image => image.Target == disk.Target) is { } now && disk.Source is { } source && now.Replaced.Contains(source.Path)
            ? new DomainDisk(disk with { Source = now.Source, Format = now.Format, Declared = [] }, open: null, _host.Options.Disks.Environment.Files)
            : null;

    // Ends what is being done to the snapshots of a running domain, and lets nobody begin until the result is disposed.
    private async ValueTask<IDisposable?> StopSnapshotsAsync(CancellationToken cancellationToken)
    {
        DomainSnapshots? snapshots;
        lock (_gate)
        {
            snapshots = _snapshots;
        }

        _isStopping = true;
        try
        {
            return snapshots is null ? null : await snapshots.StopAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _isStopping = false;
        }
    }
}
