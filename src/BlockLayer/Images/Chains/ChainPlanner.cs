using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Tells what an operation on a backing chain that no guest uses is going to do. Changes nothing. What a job on an open disk is going to do is told by the disk:
/// <see cref="Disk.PlanCommitAsync(CommitOptions, IReadOnlyList{string}?, CancellationToken)"/> and its like.
/// </summary>
public static class ChainPlanner
{
    /// <summary>Plans a commit.</summary>
    /// <param name="image">The image, open with its chain.</param>
    /// <param name="basis">An image of the chain; null: the image's own backing file.</param>
    /// <param name="options">How it is going to be committed; null for the defaults.</param>
    /// <param name="directories">
    /// Where to look for other images that read through the chain, without the directories below them. Of each file there the header is read, and nothing that it names is opened.
    /// </param>
    /// <param name="cancellationToken">Honoured between runs and files.</param>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="ImageCommitter.MeasureAsync"/>; NotFound, Denied: a directory cannot be listed.</exception>
    public static async ValueTask<ChainPlan> PlanCommitAsync(
        BlockNode image,
        BlockNode? basis = null,
        ImageCommitOptions? options = null,
        IReadOnlyList<string>? directories = null,
        CancellationToken cancellationToken = default)
    {
        (BlockNode top, _, BlockNode target) = ImageCommitter.Find(image, basis);
        ImageCommitResult copied = await ImageCommitter.MeasureAsync(top, target, options, progress: null, cancellationToken).ConfigureAwait(false);
        bool changesBase = copied.CopiedBytes > 0 || copied.GrownBytes > 0;
        BlockNode[] changed = changesBase ? [target] : [];
        BlockNode[] invalid = changesBase ? [.. BackingChain.Images(top).Skip(1).TakeWhile(node => node != target)] : [];
        var plan = new ChainPlan
        {
            Operation = ChainOperation.Commit,
            Image = JobFiles.NameOf(top),
            Base = JobFiles.NameOf(target),
            DataBytes = copied.DataBytes,
            ZeroBytes = copied.ZeroBytes,
            GrownBytes = copied.GrownBytes,
            EmptiesImage = copied.EmptiesImage,
            Changed = JobFiles.NamesOf(changed),
            Invalid = JobFiles.NamesOf(invalid),
        };
        var search = new SiblingSearch(top.Environment) { Kept = BackingChain.Images(top), Invalid = invalid, Changed = changed };
        return await search.CompleteAsync(plan, directories ?? [], cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Plans a rebase that copies what differs. It reads what the rebase would read.</summary>
    /// <param name="image">The image, open with its chain.</param>
    /// <param name="backing">The new backing file with its chain; null: none.</param>
    /// <param name="directories">Where to look for other images that read through files which the image is not going to need; as for <see cref="PlanCommitAsync"/>.</param>
    /// <param name="progress">Told how far the comparison is.</param>
    /// <param name="cancellationToken">Honoured between pieces and files.</param>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="ImageRebaser.MeasureAsync"/>; NotFound, Denied: a directory cannot be listed.</exception>
    public static async ValueTask<ChainPlan> PlanRebaseAsync(
        BlockNode image,
        BlockNode? backing,
        IReadOnlyList<string>? directories = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ImageRebaseResult copied = await ImageRebaser.MeasureAsync(image, backing, options: null, progress, cancellationToken).ConfigureAwait(false);
        return await PlanRebaseAsync(image, backing, new CopyVolume(copied.DataBytes, copied.ZeroBytes), directories ?? [], cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The same where it is known what is copied.</summary>
    internal static async ValueTask<ChainPlan> PlanRebaseAsync(
        BlockNode image, BlockNode? backing, CopyVolume volume, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        BlockNode top = image.SkipFilters();
        BlockNode[] next = backing is null ? [] : [.. BackingChain.Images(backing)];
        HashSet<StorageIdentity> kept = [.. next.Select(BackingName.FileOf).OfType<StorageNode>().Select(static file => file.Storage.Identity)];
        BlockNode[] unneeded = [.. BackingChain.Images(top).Skip(1).Where(node => BackingName.FileOf(node) is not { } file || !kept.Contains(file.Storage.Identity))];
        var plan = new ChainPlan
        {
            Operation = ChainOperation.Rebase,
            Image = JobFiles.NameOf(top),
            Base = backing is null ? null : JobFiles.NameOf(backing.SkipFilters()),
            DataBytes = volume.DataBytes,
            ZeroBytes = volume.ZeroBytes,
            Unneeded = JobFiles.NamesOf(unneeded),
        };
        var search = new SiblingSearch(top.Environment) { Kept = [top, .. next], Unneeded = unneeded };
        return await search.CompleteAsync(plan, directories, cancellationToken).ConfigureAwait(false);
    }
}
