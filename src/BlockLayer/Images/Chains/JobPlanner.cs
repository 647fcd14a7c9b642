using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>
/// Tells what a job is going to do that was made and not started. Guests and other jobs go on meanwhile; where one of those changes the part of the chain that the plan is about,
/// there is no plan.
/// </summary>
internal static class JobPlanner
{
    /// <summary>Plans a commit of images below the newest.</summary>
    internal static ValueTask<ChainPlan> PlanAsync(BlockNode disk, CommitJob job, IReadOnlyList<string> directories, CancellationToken cancellationToken)
        => PlanAsync(disk, job.Look, scope => PlanCommitAsync(scope, directories, cancellationToken), cancellationToken);

    /// <summary>Plans a commit of the newest images.</summary>
    internal static ValueTask<ChainPlan> PlanAsync(BlockNode disk, ActiveCommitJob job, IReadOnlyList<string> directories, CancellationToken cancellationToken)
        => PlanAsync(disk, job.Look, scope => PlanActiveCommitAsync(job, scope, directories, cancellationToken), cancellationToken);

    /// <summary>Plans a pull.</summary>
    internal static ValueTask<ChainPlan> PlanAsync(BlockNode disk, StreamJob job, IReadOnlyList<string> directories, CancellationToken cancellationToken)
        => PlanAsync(disk, job.Look, scope => PlanPullAsync(scope, directories, cancellationToken), cancellationToken);

    /// <summary>Plans a rebase; <paramref name="options"/> are those with which the job was made.</summary>
    internal static ValueTask<ChainPlan> PlanAsync(
        BlockNode disk, RebaseJob job, RebaseOptions options, IReadOnlyList<string> directories, CancellationToken cancellationToken)
        => PlanAsync(
            disk,
            job.Look,
            scope => options.Mode == RebaseMode.Safe
                ? ChainPlanner.PlanRebaseAsync(scope.Top, options.Backing, directories, progress: null, cancellationToken)
                : ChainPlanner.PlanRebaseAsync(scope.Top, options.Backing, default(CopyVolume), directories, cancellationToken),
            cancellationToken);

    private static async ValueTask<ChainPlan> PlanCommitAsync(JobScope scope, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        var options = new ImageCommitOptions { Committed = CommittedImage.Keep };
        ImageCommitResult copied = await ImageCommitter.MeasureAsync(scope.Top, scope.Base, options, progress: null, cancellationToken).ConfigureAwait(false);
        long tail = Math.Max(0, scope.Base!.Length - scope.Top.Length); // of a longer base: what stands on the top sees zeroes there
        var volume = new CopyVolume(copied.DataBytes, copied.ZeroBytes + tail);
        bool changesBase = volume != default || copied.GrownBytes > 0;
        return await PlanCommitAsync(scope, volume, changesBase, directories, cancellationToken).ConfigureAwait(false);
    }

    // The base is always changed: if not by the copy, then by the guest.
    private static async ValueTask<ChainPlan> PlanActiveCommitAsync(
        ActiveCommitJob job, JobScope scope, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        CopyVolume volume = await CopyVolume.OfLiveCopyAsync(scope.Top, scope.Bottom, job.NewBitmap(), cancellationToken).ConfigureAwait(false);
        return await PlanCommitAsync(scope, volume, changesBase: true, directories, cancellationToken).ConfigureAwait(false);
    }

    private static ValueTask<ChainPlan> PlanCommitAsync(
        JobScope scope, CopyVolume volume, bool changesBase, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        BlockNode target = scope.Base!;
        BlockNode[] changed = changesBase ? [target] : [];
        BlockNode[] invalid = changesBase ? [.. scope.Images.Skip(1)] : [];
        BlockNode[] unneeded = [.. scope.Images.Except(invalid)];
        var plan = new ChainPlan
        {
            Operation = ChainOperation.Commit,
            Image = JobFiles.NameOf(scope.Top),
            Base = JobFiles.NameOf(target),
            DataBytes = volume.DataBytes,
            ZeroBytes = volume.ZeroBytes,
            GrownBytes = Math.Max(0, scope.Top.Length - target.Length),
            Changed = JobFiles.NamesOf(changed),
            Invalid = JobFiles.NamesOf(invalid),
            Unneeded = JobFiles.NamesOf(unneeded),
        };
        var search = new SiblingSearch(target.Environment)
        {
            Kept = [.. ChainUsers.Of(scope.Top), .. BackingChain.Images(target)], // what stands on the top here is led to the base
            Unneeded = unneeded,
            Invalid = invalid,
            Changed = changed,
        };
        return search.CompleteAsync(plan, directories, cancellationToken);
    }

    private static async ValueTask<ChainPlan> PlanPullAsync(JobScope scope, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        CopyVolume volume = await CopyVolume.OfPullAsync(scope.Top, scope.Bottom, cancellationToken).ConfigureAwait(false);
        BlockNode[] unneeded = [.. scope.Images.Skip(1)];
        var plan = new ChainPlan
        {
            Operation = ChainOperation.Pull,
            Image = JobFiles.NameOf(scope.Top),
            Base = scope.Base is null ? null : JobFiles.NameOf(scope.Base),
            DataBytes = volume.DataBytes,
            ZeroBytes = volume.ZeroBytes,
            Unneeded = JobFiles.NamesOf(unneeded),
        };
        var search = new SiblingSearch(scope.Top.Environment) { Kept = BackingChain.Images(scope.Top), Unneeded = unneeded };
        return await search.CompleteAsync(plan, directories, cancellationToken).ConfigureAwait(false);
    }

    // Nothing is held while the plan is made: what is kept open or claimed for it would be in the way of jobs.
    private static async ValueTask<ChainPlan> PlanAsync(
        BlockNode disk, Func<JobScope> look, Func<JobScope, ValueTask<ChainPlan>> planAsync, CancellationToken cancellationToken)
    {
        JobScope scope = await LookAsync(disk, look, cancellationToken).ConfigureAwait(false);
        ChainPlan? plan = null;
        ObjectDisposedException? gone = null;
        try
        {
            plan = await planAsync(scope).ConfigureAwait(false);
        }
        catch (ObjectDisposedException error)
        {
            gone = error; // an image that is not of the chain any more, or the disk
        }

        JobScope now = await LookAsync(disk, look, cancellationToken).ConfigureAwait(false);
        return plan is not null && now.Equals(scope) ? plan : throw new BlockLayerException(
            BlockErrorKind.Conflict, $"The backing chain of '{scope.Top.NodeName}' was changed by a job while the plan was made.", gone)
        {
            NodeName = scope.Top.NodeName,
            Path = scope.Top.Path,
        };
    }

    private static async ValueTask<JobScope> LookAsync(BlockNode disk, Func<JobScope> look, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await disk.Environment.GraphLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        ObjectDisposedException.ThrowIf(disk.IsDisposed, disk);
        return look();
    }
}
