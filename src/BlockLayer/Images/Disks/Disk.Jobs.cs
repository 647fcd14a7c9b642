using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Images;

// Jobs under which the disk keeps its newest image; those that change it over to another are in Disk.LiveCopy.cs.
public sealed partial class Disk
{
    /// <summary>
    /// Starts to fill the image with what its backing files provide above a base, while the guest goes on; in the end the base is its backing file. Cancelled,
    /// failed or killed, it is simply started again: nothing is copied twice.
    /// </summary>
    /// <param name="options">How; null pulls the whole chain, as fast as possible.</param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job: await its <see cref="BlockJob.Completion"/>, ask for its <see cref="BlockJob.Progress"/>.</returns>
    /// <exception cref="BlockLayerException">
    /// NotFound (no such base in the chain), ReadOnly, Unsupported, Conflict (another job uses that part of the chain).
    /// </exception>
    public ValueTask<StreamJob> StartPullAsync(StreamOptions? options = null, CancellationToken cancellationToken = default)
        => StartAsync(new StreamJob(_root, options), cancellationToken);

    /// <summary>
    /// Starts to write what an image below the newest, and those below it, hold into an older one, which then takes their place. The guest goes on. Cancelled, failed
    /// or killed, the chain works and the job can be started again; but see <see cref="JobFiles"/> for what becomes of the files by themselves.
    /// </summary>
    /// <param name="options">Which images, and how.</param>
    /// <param name="directories">
    /// Where to look for other images that the commit would destroy, because they read through images that it changes; with one there, it is refused. Null: not looked for.
    /// <see cref="PlanCommitAsync(CommitOptions, IReadOnlyList{string}?, CancellationToken)"/> tells which.
    /// </param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job.</returns>
    /// <exception cref="ArgumentException">The top is not given, or an image is given twice.</exception>
    /// <exception cref="BlockLayerException">
    /// NotFound (no such image in that part of the chain), ReadOnly, Unsupported, Conflict (another job uses that part of the chain, somebody else reads an image that
    /// would be changed, another program has the base open, or an image in the directories would be destroyed); NotFound, Denied: a directory cannot be listed.
    /// </exception>
    public async ValueTask<CommitJob> StartCommitAsync(CommitOptions options, IReadOnlyList<string>? directories = null, CancellationToken cancellationToken = default)
    {
        if (directories is not null)
        {
            (await PlanCommitAsync(options, directories, cancellationToken).ConfigureAwait(false)).ThrowIfDestructive();
        }

        return await StartAsync(new CommitJob(_root, options), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts to save the disk as it is now, while the guest goes on.</summary>
    /// <param name="target">An image of the same length, which nobody else uses; the job closes it at its end.</param>
    /// <param name="options">How; null saves all of the disk, as fast as possible.</param>
    /// <param name="targetOptions">How the target is opened: its format, at least, where it is raw.</param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job. Several disks are saved as at one moment by <see cref="JobTransaction"/>.</returns>
    /// <exception cref="BlockLayerException">As for opening the target; OutOfRange: its length differs; NotFound, Corrupt: the bitmap; Conflict: another job works on the disk.</exception>
    public async ValueTask<BackupJob> StartBackupAsync(
        string target,
        BackupOptions? options = null,
        DiskOptions? targetOptions = null,
        CancellationToken cancellationToken = default)
    {
        targetOptions ??= new DiskOptions();
        var opener = new ImageOpener(targetOptions.Formats, _root.Environment);
        ImageOpenOptions how = targetOptions.ToOpenOptions() with { Access = NodeAccess.ReadWrite };
        BlockNode node = await opener.OpenAsync(target, how, cancellationToken).ConfigureAwait(false);
        try
        {
            return await StartAsync(new BackupJob(_root, node, options), cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Starts to give the newest image another backing file, while the guest goes on. What the two chains show differently is copied into the image first, unless the
    /// options tell that there is no such thing.
    /// </summary>
    /// <param name="backing">The new backing file; null: the image is to stand alone.</param>
    /// <param name="options">How; null: safely, as fast as possible. <see cref="RebaseOptions.Backing"/> is what is opened here.</param>
    /// <param name="backingOptions">How the backing file is opened: its format, at least, where it is raw.</param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job.</returns>
    /// <exception cref="BlockLayerException">
    /// As for opening the backing file; ReadOnly; Unsupported (the image takes no copies, or cannot record the name); Conflict (another job works on the chain, or the
    /// present backing file is not open).
    /// </exception>
    public async ValueTask<RebaseJob> StartRebaseAsync(
        string? backing,
        RebaseOptions? options = null,
        DiskOptions? backingOptions = null,
        CancellationToken cancellationToken = default)
    {
        BlockNode? node = await OpenBackingAsync(backing, backingOptions, cancellationToken).ConfigureAwait(false);
        try
        {
            return await StartAsync(new RebaseJob(_root, (options ?? new RebaseOptions()) with { Backing = node }), cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await (node?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask<BlockNode?> OpenBackingAsync(string? path, DiskOptions? options, CancellationToken cancellationToken)
    {
        if (path is null)
        {
            return null;
        }

        options ??= new DiskOptions();
        ImageOpenOptions how = options.ToOpenOptions() with { Access = NodeAccess.ReadOnly };
        return await new ImageOpener(options.Formats, _root.Environment).OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<T> StartAsync<T>(T job, CancellationToken cancellationToken)
        where T : BlockJob
    {
        await job.StartAsync(cancellationToken).ConfigureAwait(false);
        return job;
    }
}
