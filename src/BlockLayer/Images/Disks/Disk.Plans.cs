using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Images;

// What a job is going to do, told before it is started and by the same options. Guests go on.
public sealed partial class Disk
{
    /// <summary>
    /// Tells what <see cref="StartPullAsync"/> is going to do. Asks what is allocated, and reads no data. A pull in increments is planned as one.
    /// </summary>
    /// <param name="options">What the pull is going to be started with.</param>
    /// <param name="directories">
    /// Where to look for other images that read through files of the chain, without the directories below them. Of each file there the header is read, and nothing that it names is opened.
    /// </param>
    /// <param name="cancellationToken">Honoured between runs and files.</param>
    /// <exception cref="ArgumentException">As for the start.</exception>
    /// <exception cref="Errors.BlockLayerException">
    /// What the start would refuse in the chain as it is, except that another job works on it; Conflict: a job changed the chain meanwhile; NotFound, Denied: a directory cannot be listed; Io, Corrupt.
    /// </exception>
    public ValueTask<ChainPlan> PlanPullAsync(StreamOptions? options = null, IReadOnlyList<string>? directories = null, CancellationToken cancellationToken = default)
        => JobPlanner.PlanAsync(_root, new StreamJob(_root, options), directories ?? [], cancellationToken);

    /// <summary>Tells what <see cref="StartCommitAsync(CommitOptions, IReadOnlyList{string}?, CancellationToken)"/> is going to do. Asks what is allocated, and reads no data.</summary>
    /// <param name="options">What the commit is going to be started with.</param>
    /// <param name="directories"><inheritdoc cref="PlanPullAsync" path="/param[@name='directories']"/></param>
    /// <param name="cancellationToken">Honoured between runs and files.</param>
    /// <exception cref="ArgumentException">As for the start.</exception>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="PlanPullAsync"/>.</exception>
    public ValueTask<ChainPlan> PlanCommitAsync(CommitOptions options, IReadOnlyList<string>? directories = null, CancellationToken cancellationToken = default)
        => JobPlanner.PlanAsync(_root, new CommitJob(_root, options), directories ?? [], cancellationToken);

    /// <summary>
    /// Tells what <see cref="StartCommitAsync(ActiveCommitOptions?, IReadOnlyList{string}?, CancellationToken)"/> is going to do when the disk is changed over in the end. What the guest writes until then comes on
    /// top. Asks what is allocated, and reads no data.
    /// </summary>
    /// <param name="options">What the commit is going to be started with.</param>
    /// <param name="directories"><inheritdoc cref="PlanPullAsync" path="/param[@name='directories']"/></param>
    /// <param name="cancellationToken">Honoured between runs and files.</param>
    /// <exception cref="ArgumentException">As for the start.</exception>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="PlanPullAsync"/>.</exception>
    public ValueTask<ChainPlan> PlanCommitAsync(ActiveCommitOptions? options = null, IReadOnlyList<string>? directories = null, CancellationToken cancellationToken = default)
        => JobPlanner.PlanAsync(_root, new ActiveCommitJob(_root, options), directories ?? [], cancellationToken);

    /// <summary>Tells what <see cref="StartRebaseAsync"/> is going to do. For a safe rebase it reads what that would read.</summary>
    /// <param name="backing">The new backing file; null: the image is to stand alone.</param>
    /// <param name="options">What the rebase is going to be started with.</param>
    /// <param name="backingOptions">How the backing file is opened.</param>
    /// <param name="directories"><inheritdoc cref="PlanPullAsync" path="/param[@name='directories']"/></param>
    /// <param name="cancellationToken">Honoured between pieces and files.</param>
    /// <exception cref="Errors.BlockLayerException">As for opening the backing file, and for <see cref="PlanPullAsync"/>.</exception>
    public async ValueTask<ChainPlan> PlanRebaseAsync(
        string? backing,
        RebaseOptions? options = null,
        DiskOptions? backingOptions = null,
        IReadOnlyList<string>? directories = null,
        CancellationToken cancellationToken = default)
    {
        BlockNode? node = await OpenBackingAsync(backing, backingOptions, cancellationToken).ConfigureAwait(false);
        try
        {
            options = (options ?? new RebaseOptions()) with { Backing = node };
            return await JobPlanner.PlanAsync(_root, new RebaseJob(_root, options), options, directories ?? [], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await (node?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
        }
    }
}
