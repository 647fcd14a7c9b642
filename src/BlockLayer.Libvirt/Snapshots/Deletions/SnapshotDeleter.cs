using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Deletes a snapshot of open disks, in an order that a crash at any moment leaves something to finish or to take back.</summary>
/// <remarks>
/// <code>
///   plan: nothing is touched, what would be destroyed is refused
///   "copying" noted ── jobs at work on all disks ── all pending             a crash, an error, a cancel: taken back, every chain works
///   guests of all disks held back
///     "switching" noted ── each disk switches ── "switched" noted           a crash: those that have not switched do it again, nobody has written meanwhile
///   guests go on
///   other overlays moved, durably ── files removed ── the snapshot forgotten   a crash: done again, each step as far as it was not
/// </code>
/// Guests are held back because after a backward merge of the active image no file says that the older one is active now: only the note does, and what guests write
/// before it is made would be lost.
/// </remarks>
internal sealed class SnapshotDeleter(Domain domain, SnapshotStore store)
{
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);

    private DiskOptions Options => domain.Host.Options.Disks;

    private StorageProvider Files => Options.Environment.Files;

    /// <summary>Deletes a snapshot whose images the disks use.</summary>
    /// <returns>What went wrong in its jobs and does not change that it is deleted; null for nothing.</returns>
    /// <exception cref="LibvirtException">As for <see cref="DeletionPlan.MakeAsync"/> and <see cref="MergeJobs.StartAsync"/>.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before a disk switched; it was taken back.</exception>
    /// <exception cref="BlockLayerException">If <see cref="SnapshotStore.Deletion"/> is null afterwards it was taken back, else it has to be finished.</exception>
    internal async ValueTask<LibvirtError?> DeleteAsync(IReadOnlyList<DomainDisk> disks, SnapshotRecord record, CancellationToken cancellationToken)
    {
        (SnapshotDeletion deletion, IReadOnlyList<DiskMerge> merges) = await DeletionPlan.MakeAsync(domain, disks, store.Tree, record, cancellationToken).ConfigureAwait(false);
        foreach (DiskMerge merge in merges)
        {
            merge.Disk.ThrowIfOccupied(); // before anything is noted
        }

        await store.BeginDeletionAsync(deletion, cancellationToken).ConfigureAwait(false);
        MergeJobs jobs = await MergeAsync(deletion, merges, cancellationToken).ConfigureAwait(false);
        await SettleAsync(CancellationToken.None).ConfigureAwait(false);
        jobs.ThrowIfListenerFailed();
        return jobs.LateError;
    }

    /// <summary>Goes on with a deletion that was interrupted after disks may have switched.</summary>
    /// <param name="disks">At least those that have not switched.</param>
    /// <param name="cancellationToken">Honoured until more disks switch.</param>
    /// <returns><inheritdoc cref="DeleteAsync" path="/returns"/></returns>
    internal async ValueTask<LibvirtError?> FinishAsync(IReadOnlyList<DomainDisk> disks, CancellationToken cancellationToken)
    {
        SnapshotDeletion deletion = store.Deletion!;
        SnapshotRecord record = store.Tree.Find(deletion.Snapshot);
        var merges = new List<DiskMerge>();
        foreach (DiskDeletion unfinished in deletion.Disks.Where(static disk => disk.Stage != DeletionStage.Switched))
        {
            DomainDisk disk = disks.First(open => open.Target == unfinished.Target);
            if (DiskMerge.FindUnfinished(disk, unfinished, record.Disks.First(known => known.Target == unfinished.Target), Files) is { } merge)
            {
                merges.Add(merge);
            }
            else
            {
                deletion = deletion.At(unfinished.Target, DeletionStage.Switched);
            }
        }

        MergeJobs? jobs = null;
        if (merges.Count > 0)
        {
            jobs = await MergeAsync(deletion, merges, cancellationToken).ConfigureAwait(false);
        }
        else if (deletion != store.Deletion)
        {
            await store.AdvanceDeletionAsync(deletion, cancellationToken).ConfigureAwait(false);
        }

        await SettleAsync(CancellationToken.None).ConfigureAwait(false);
        jobs?.ThrowIfListenerFailed();
        return jobs?.LateError;
    }

    /// <summary>What is left when all disks have switched. Can be done again at any point.</summary>
    internal async ValueTask SettleAsync(CancellationToken cancellationToken)
    {
        SnapshotDeletion deletion = store.Deletion!;
        SnapshotRecord record = store.Tree.Find(deletion.Snapshot);
        foreach (DiskDeletion disk in deletion.Disks)
        {
            SnapshotDiskRecord files = record.Disks.First(known => known.Target == disk.Target);
            string format = disk.Merge == MergeDirection.Forward ? files.OverlayFormat : files.FrozenFormat;
            foreach (string overlay in disk.Relink)
            {
                await OverlayLink.MoveAsync(Options, overlay, disk.GoingPath, disk.StayingPath, format, cancellationToken).ConfigureAwait(false);
            }
        }

        foreach (string path in deletion.Disks.SelectMany(static disk => disk.Remove))
        {
            await FileRemoval.RemoveAsync(Files, path, cancellationToken).ConfigureAwait(false);
        }

        await store.FinishDeletionAsync(deletion.Snapshot, cancellationToken).ConfigureAwait(false);
    }

    // On return every disk has switched, and that is noted.
    private async ValueTask<MergeJobs> MergeAsync(SnapshotDeletion deletion, IReadOnlyList<DiskMerge> merges, CancellationToken cancellationToken)
    {
        try
        {
            MergeJobs jobs = await MergeJobs.StartAsync(domain, merges, cancellationToken).ConfigureAwait(false);
            await jobs.WaitUntilPendingAsync(cancellationToken).ConfigureAwait(false);
            ExceptionDispatchInfo? failure = null;
            using (await DrainScope.BeginAsync([.. merges.Select(static merge => merge.Disk.Open!.Root)]).ConfigureAwait(false))
            {
                try
                {
                    await SwitchAsync(deletion, merges, jobs).ConfigureAwait(false);
                }
                catch (Exception error)
                {
                    failure = ExceptionDispatchInfo.Capture(error); // thrown once the guests go on and the jobs have ended
                }
            }

            JobResult[] results = await jobs.EndAsync().ConfigureAwait(false);
            failure?.Throw();
            MergeJobs.ThrowIfIncomplete(results);
            if (store.Deletion!.Disks.Any(static disk => disk.Stage != DeletionStage.Switched))
            {
                throw new OperationCanceledException("Somebody ended a job that merges the files of the snapshot, without letting it change its disk over.");
            }

            return jobs;
        }
        catch (Exception error)
        {
            await TakeBackAsync(error).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask SwitchAsync(SnapshotDeletion deletion, IReadOnlyList<DiskMerge> merges, MergeJobs jobs)
    {
        try
        {
            await store.AdvanceDeletionAsync(At(deletion, merges, static _ => DeletionStage.Switching), CancellationToken.None).ConfigureAwait(false);
        }
        catch
        {
            jobs.Cancel();
            throw;
        }

        IReadOnlyList<bool> switched = await jobs.FinalizeAsync().ConfigureAwait(false);
        SnapshotDeletion done = At(deletion, merges, index => switched[index] ? DeletionStage.Switched : DeletionStage.Copying);
        bool isActiveElsewhere = domain.State == DomainState.Running && merges.Where((merge, index) => switched[index] && merge.JobType == BlockJobType.ActiveCommit).Any();
        while (true)
        {
            try
            {
                await store.AdvanceDeletionAsync(done, CancellationToken.None).ConfigureAwait(false);
                return;
            }
            catch (BlockLayerException) when (isActiveElsewhere && !domain.IsStopping)
            {
                // Guests would write into an image that nobody knows to be active: they wait, as they do for any other full disk.
                await Pause.ForAsync(s_retry, Options.Environment.Time, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    // Unless a disk may have switched.
    private async ValueTask TakeBackAsync(Exception reason)
    {
        if (store.Deletion is not { MustFinish: false } deletion)
        {
            return;
        }

        try
        {
            await store.AbandonDeletionAsync(deletion.Snapshot, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationFailed,
                LibvirtErrorDomain.DomainSnapshot,
                $"'{deletion.Snapshot}' was not deleted ({reason.Message}), and that could not be noted: {error.Message}",
                reason);
        }
    }

    private static SnapshotDeletion At(SnapshotDeletion deletion, IReadOnlyList<DiskMerge> merges, Func<int, DeletionStage> stage)
    {
        for (int i = 0; i < merges.Count; i++)
        {
            deletion = deletion.At(merges[i].Target, stage(i));
        }

        return deletion;
    }
}
