using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Images;

// Jobs that change the disk over to another image.
public sealed partial class Disk
{
    /// <summary>
    /// Starts to copy the disk into another image, while the guest goes on. When the job is <see cref="JobState.Ready"/>, <see cref="BlockJob.Complete"/> changes the disk over to
    /// the copy, and <see cref="BlockJob.Cancel"/> without force leaves the copy as the disk is then.
    /// </summary>
    /// <param name="path">The file to copy into.</param>
    /// <param name="options">How; null: all of it, in the background.</param>
    /// <param name="create">
    /// What to create there; without a length it has the disk's, and where only what the newest image holds is copied it stands on that image's backing file unless it says
    /// otherwise. Null: the image exists and is at least as long.
    /// </param>
    /// <param name="targetOptions">How the copy is opened: formats, policy, secrets and, where nothing is created, its format.</param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job.</returns>
    /// <exception cref="ArgumentException">As for creating an image; a granularity that is none.</exception>
    /// <exception cref="BlockLayerException">
    /// As for creating and opening an image; OutOfRange (the copy is shorter), Conflict (another job uses the disk, or the copy stands on something else). What was created is
    /// removed again; where that fails too, the message names it.
    /// </exception>
    public async ValueTask<MirrorJob> StartMirrorAsync(
        string path,
        MirrorJobOptions? options = null,
        NewImage? create = null,
        DiskOptions? targetOptions = null,
        CancellationToken cancellationToken = default)
    {
        targetOptions = (targetOptions ?? new DiskOptions()) with { Environment = _root.Environment };
        options ??= new MirrorJobOptions();
        string[] created = create is null ? [] : await CreateTargetAsync(path, create, options.Scope, targetOptions, cancellationToken).ConfigureAwait(false);
        try
        {
            BlockNode target = await OpenTargetAsync(path, create?.Format, options.Scope, targetOptions, cancellationToken).ConfigureAwait(false);
            try
            {
                return await StartMirrorAsync(target, options, cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                await target.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (Exception reason)
        {
            await BegunFile.RemoveAfterAsync(reason, _root.Environment.Files, created).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The same with an image that is open.</summary>
    /// <param name="target">Open for writing, at least as long, used by nobody else. The job owns it once it runs; a start that fails leaves it the caller's.</param>
    /// <param name="options"><inheritdoc cref="StartMirrorAsync(string, MirrorJobOptions?, NewImage?, DiskOptions?, CancellationToken)" path="/param[@name='options']"/></param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    /// <returns>The running job.</returns>
    /// <exception cref="ArgumentException">A granularity that is none.</exception>
    /// <exception cref="BlockLayerException">OutOfRange (the target is shorter), ReadOnly, Conflict (another job uses the disk, or the target stands on something else).</exception>
    public ValueTask<MirrorJob> StartMirrorAsync(BlockNode target, MirrorJobOptions? options = null, CancellationToken cancellationToken = default)
        => StartAsync(new MirrorJob(_root, target, options), cancellationToken);

    /// <summary>
    /// Starts to write what the newest image, and those below it, hold into an older one, while the guest goes on. When the job is <see cref="JobState.Ready"/>,
    /// <see cref="BlockJob.Complete"/> changes the disk over to that base, and <see cref="BlockJob.Cancel"/> without force keeps the newest image. Cancelled, failed or killed, the
    /// chain works and the job can be started again; but see <see cref="JobFiles"/> for what becomes of the files by themselves.
    /// </summary>
    /// <param name="options">Into which image, and how; null: into the lowest of the chain.</param>
    /// <param name="directories"><inheritdoc cref="StartCommitAsync(CommitOptions, IReadOnlyList{string}?, CancellationToken)" path="/param[@name='directories']"/></param>
    /// <param name="cancellationToken">Honoured until the job runs; the job itself is ended by <see cref="BlockJob.Cancel"/>.</param>
    /// <returns>The running job.</returns>
    /// <exception cref="ArgumentException">The base is given twice, or the granularity is none.</exception>
    /// <exception cref="BlockLayerException">
    /// NotFound (no such image below the newest), ReadOnly, Unsupported, Conflict (another job uses the chain, somebody else reads an image that would be changed,
    /// another program has the base open, or an image in the directories would be destroyed); NotFound, Denied: a directory cannot be listed.
    /// </exception>
    public async ValueTask<ActiveCommitJob> StartCommitAsync(
        ActiveCommitOptions? options = null, IReadOnlyList<string>? directories = null, CancellationToken cancellationToken = default)
    {
        if (directories is not null)
        {
            (await PlanCommitAsync(options, directories, cancellationToken).ConfigureAwait(false)).ThrowIfDestructive();
        }

        return await StartAsync(new ActiveCommitJob(_root, options), cancellationToken).ConfigureAwait(false);
    }

    // Returns all files of the copy.
    private async ValueTask<string[]> CreateTargetAsync(string path, NewImage create, MirrorScope scope, DiskOptions how, CancellationToken cancellationToken)
    {
        BlockNode image = _root.SkipFilters();
        MirrorJob.ThrowIfNotWithinReach(image, scope); // a file that exists is not replaced for nothing
        create = create with { Length = create.Length ?? Length };
        BlockNode? below = scope switch
        {
            MirrorScope.Top => image.Backing?.SkipFilters(),
            MirrorScope.None => image,
            _ => null,
        };
        if (create.Backing is null && below is not null)
        {
            string name = _root.Environment.Files.GetRealPath(below.Path ?? below.NodeName);
            create = create with { Backing = new BackingReference(name, below.DriverName), Verification = BackingVerification.None };
        }

        ImageCreateOptions created = await new ImageCreator(how.Formats, how.Environment).CreateAsync(path, create, how.Policy, cancellationToken).ConfigureAwait(false);
        return ImageCreator.FilesOf(path, how.Formats.Get(create.Format), created, how.Policy);
    }

    // Where the copy is to stand on what the disk stands on, the job puts the open node there.
    private static ValueTask<BlockNode> OpenTargetAsync(string path, string? format, MirrorScope scope, DiskOptions how, CancellationToken cancellationToken)
    {
        ImageOpenOptions open = how.ToOpenOptions() with
        {
            Format = format ?? how.Format,
            Access = NodeAccess.ReadWrite,
            Backing = scope == MirrorScope.Full ? BackingMode.Open : BackingMode.Ignore,
        };
        return new ImageOpener(how.Formats, how.Environment).OpenAsync(path, open, cancellationToken);
    }
}
