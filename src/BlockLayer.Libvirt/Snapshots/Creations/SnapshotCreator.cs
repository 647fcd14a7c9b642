using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Makes a snapshot of open disks, of all or of none, in an order that a crash at any moment leaves either the snapshot or something to undo.</summary>
/// <remarks>
/// <code>
///   plan: nothing is touched, files that exist are refused
///   "creating" noted ── files made, durable           a crash, an error, a cancel: the files are removed, then the note
///   guests of all disks held back, everything flushed
///     the snapshot noted in place of "creating"       a crash: the disks go on with the new files
///     all disks switched, which cannot fail
///   guests go on
/// </code>
/// </remarks>
internal sealed class SnapshotCreator(Domain domain, SnapshotStore store)
{
    private DiskOptions Options => domain.Host.Options.Disks;

    private StorageProvider Files => Options.Environment.Files;

    /// <summary>Makes the snapshot that was planned.</summary>
    /// <returns>It; <see cref="SnapshotRecord.LateError"/> tells what went wrong behind the switch, when nothing is undone any more.</returns>
    /// <exception cref="BlockLayerException">A file cannot be made or used, or something cannot be noted; the disks are as they were.</exception>
    /// <exception cref="LibvirtException">OperationFailed: the same, and what was begun could not be undone either. The next snapshot, deletion or start does it.</exception>
    internal async ValueTask<SnapshotRecord> CreateAsync(IReadOnlyList<DomainDisk> disks, SnapshotRecord record, SnapshotCreateFlags flags, CancellationToken cancellationToken)
    {
        DiskOverlay[] overlays = [.. record.Disks.Select(disk => OverlayOf(disks.First(open => open.Target == disk.Target), disk))];
        bool isRemembered = (flags & SnapshotCreateFlags.NoMetadata) == 0;
        if ((flags & SnapshotCreateFlags.ReuseExternal) != 0)
        {
            try
            {
                return await SwitchAsync().ConfigureAwait(false);
            }
            catch (Exception reason)
            {
                var aftermath = new Aftermath();
                await aftermath.DoAsync(() => store.RestateAsync(CancellationToken.None)).ConfigureAwait(false); // a note that could not be made may still say that the disks use the files
                aftermath.ThrowIfLeft(reason);
                throw;
            }
        }

        await store.BeginCreationAsync(new SnapshotCreation(record.Name, [.. overlays.Select(Describe)]), cancellationToken).ConfigureAwait(false);
        try
        {
            foreach (EmptyOverlay file in store.Creation!.Files)
            {
                await new ImageCreator(Options.Formats, Options.Environment).CreateAsync(file.Path, file.ToImage(), Options.Policy, cancellationToken).ConfigureAwait(false);
            }

            return await SwitchAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (store.Creation is not null)
        {
            await UndoAfterAsync(error).ConfigureAwait(false);
            throw;
        }

        async ValueTask<SnapshotRecord> SwitchAsync()
        {
            DiskSnapshotResult taken = await DiskSnapshot.TakeAsync(
                overlays, still => isRemembered ? store.AddAsync(record, still) : store.FollowAsync(record, still), cancellationToken).ConfigureAwait(false);
            return record with { LateError = LibvirtError.Of(taken.Error) };
        }
    }

    /// <summary>Removes what a creation has made that did not get as far as a snapshot; without one, does nothing. Can be done again at any point.</summary>
    /// <exception cref="BlockLayerException">A file cannot be removed, or that cannot be noted.</exception>
    internal async ValueTask UndoAsync(CancellationToken cancellationToken)
    {
        if (store.Creation is not { } creation)
        {
            return;
        }

        await store.RestateAsync(cancellationToken).ConfigureAwait(false); // no file goes while a note that could not be made may still say that disks use it
        UnusedOverlays? unused = null;
        foreach (EmptyOverlay file in creation.Files)
        {
            if (Files.GetInfo(file.Path) is null)
            {
                await FileRemoval.RemoveAsync(Files, file.Path, cancellationToken).ConfigureAwait(false); // a crash may have undone it
                continue;
            }

            unused ??= await UnusedOverlays.SearchAsync(domain, store, creation.Files, cancellationToken).ConfigureAwait(false);
            if (await unused.ContainsAsync(file, cancellationToken).ConfigureAwait(false))
            {
                await FileRemoval.RemoveAsync(Files, file.Path, cancellationToken).ConfigureAwait(false);
            }
        }

        await store.EndCreationAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask UndoAfterAsync(Exception reason)
    {
        string snapshot = store.Creation!.Snapshot;
        try
        {
            await UndoAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationFailed,
                LibvirtErrorDomain.DomainSnapshot,
                $"'{snapshot}' was not made ({reason.Message}), and its files could not be removed: {error.Message} The next snapshot, deletion or start of '{domain.Name}' does that.",
                reason);
        }
    }

    private DiskOverlay OverlayOf(DomainDisk disk, SnapshotDiskRecord record) => new(
        disk.Open!,
        record.Overlay.Path,
        new OverlayOptions
        {
            Source = OverlaySource.Existing, // by the time that the disk switches to it
            Format = record.OverlayFormat,
            Policy = Options.Policy,
            Secrets = Options.Secrets,
            Formats = Options.Formats,
        });

    private static EmptyOverlay Describe(DiskOverlay overlay)
    {
        NewImage image = NewOverlay.Describe(overlay.Disk.Chain[0], overlay.Path, overlay.Options!);
        return new EmptyOverlay(overlay.Path, image.Format, image.Length!.Value, image.Backing!);
    }
}
