using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>Tells what an operation on a backing chain is going to do. Changes nothing.</summary>
public static class ChainPlanner
{
    private const long Window = 64 << 20; // bytes of the disk that are planned at once; whole units of any image

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
        BlockNode[] between = [.. BackingChain.Images(top).Skip(1).TakeWhile(node => node != target)];
        ImageCommitResult copied = await ImageCommitter.MeasureAsync(top, target, options, progress: null, cancellationToken).ConfigureAwait(false);
        var search = new SiblingSearch(top.Environment, affected: [.. between, target], unaffected: top);
        await search.RunAsync(directories ?? [], cancellationToken).ConfigureAwait(false);
        return new ChainPlan
        {
            Operation = ChainOperation.Commit,
            Image = FileNameOf(top),
            Base = FileNameOf(target),
            DataBytes = copied.DataBytes,
            ZeroBytes = copied.ZeroBytes,
            GrownBytes = copied.GrownBytes,
            EmptiesImage = copied.EmptiesImage,
            Changed = [FileNameOf(target)],
            Invalid = [.. between.Select(FileNameOf)],
            Destroyed = search.Destroyed,
            Unjudged = search.Unjudged,
        };
    }

    /// <summary>Plans a rebase that copies what differs. It reads what the rebase would read.</summary>
    /// <param name="image">The image, open with its chain.</param>
    /// <param name="backing">The new backing file with its chain; null: none.</param>
    /// <param name="progress">Told how far the comparison is.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="ImageRebaser.MeasureAsync"/>.</exception>
    public static async ValueTask<ChainPlan> PlanRebaseAsync(
        BlockNode image,
        BlockNode? backing,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ImageRebaseResult copied = await ImageRebaser.MeasureAsync(image, backing, options: null, progress, cancellationToken).ConfigureAwait(false);
        HashSet<StorageIdentity> kept = backing is null ? [] : [.. BackingChain.Images(backing).Select(BackingName.FileOf).OfType<StorageNode>().Select(static file => file.Storage.Identity)];
        return new ChainPlan
        {
            Operation = ChainOperation.Rebase,
            Image = FileNameOf(image.SkipFilters()),
            Base = backing is null ? null : FileNameOf(backing.SkipFilters()),
            DataBytes = copied.DataBytes,
            ZeroBytes = copied.ZeroBytes,
            Unneeded = [.. BackingChain.Images(image).Skip(1).Where(node => BackingName.FileOf(node) is not { } file || !kept.Contains(file.Storage.Identity)).Select(FileNameOf)],
        };
    }

    /// <summary>Plans a pull. Asks what is allocated, and reads no data.</summary>
    /// <param name="image">The image, open with its chain.</param>
    /// <param name="basis">The first image that is not copied; null: all is copied.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    /// <exception cref="Errors.BlockLayerException">NotFound: the base is not below the image; Io, Corrupt.</exception>
    public static async ValueTask<ChainPlan> PlanPullAsync(BlockNode image, BlockNode? basis = null, CancellationToken cancellationToken = default)
    {
        BlockNode top = image.SkipFilters();
        BlockNode bottom = basis is null ? BackingChain.Images(top).Last() : ImageCommitter.Find(top, basis).Bottom;
        (long data, long zeroes) = (0, 0);
        for (long at = 0; at < top.Length; at += Window)
        {
            List<CopyExtent> extents = await CopyPlan.MakeAsync(top, bottom, new ByteRange(at, Window).ClampTo(top.Length), cancellationToken).ConfigureAwait(false);
            data += extents.Where(static extent => !extent.IsZero).Sum(static extent => extent.Range.Length);
            zeroes += extents.Where(static extent => extent.IsZero).Sum(static extent => extent.Range.Length);
        }

        return new ChainPlan
        {
            Operation = ChainOperation.Pull,
            Image = FileNameOf(top),
            Base = basis is null ? null : FileNameOf(basis.SkipFilters()),
            DataBytes = data,
            ZeroBytes = zeroes,
            Unneeded = [.. BackingChain.Images(top).Skip(1).TakeWhile(node => node != basis?.SkipFilters()).Select(FileNameOf)],
        };
    }

    private static string FileNameOf(BlockNode node) => node.Path ?? node.NodeName;
}
