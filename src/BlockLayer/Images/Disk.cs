using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>
/// A virtual disk: an image and its backing chain, read and written as one block device while jobs work on the chain below.
/// </summary>
/// <remarks>
/// Free-threaded, any number of requests in flight; the contract of every request is that of <see cref="BlockNode"/>. The disk owns its chain: dispose
/// it to write back tables, release locks and close the files. Code that awaits a request may go on inside the library's call that completed it: what
/// blocks there, computes for long or never awaits anything that is not complete already, holds up other requests and jobs.
/// </remarks>
public sealed partial class Disk : IAsyncDisposable
{
    private readonly RootNode _root;

    /// <summary>A disk on an image, or on filters over one, whose ownership it takes.</summary>
    internal Disk(BlockNode image) => _root = new RootNode(image);

    /// <summary>Size of the virtual disk in bytes.</summary>
    public long Length => _root.Length;

    /// <summary>True when the disk was opened so that it can never be written.</summary>
    public bool IsReadOnly => _root.IsReadOnly;

    /// <summary>What the guest talks to: the top of the graph, jobs' filters below it.</summary>
    public BlockNode Root => _root;

    /// <summary>The images of the chain, newest first.</summary>
    public IReadOnlyList<BlockNode> Chain => [.. BackingChain.Images(_root)];

    /// <summary>Opens an image and its backing chain.</summary>
    /// <exception cref="OpenDeniedException">The image refers to a file that the policy does not allow.</exception>
    /// <exception cref="BlockLayerException">NotFound, Denied, Conflict (locked by somebody else), InvalidFormat, Corrupt, Unsupported, Io.</exception>
    public static async ValueTask<Disk> OpenAsync(string path, DiskOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        var opener = new ImageOpener(options.Formats, options.Environment);
        ImageOpenOptions how = options.ToOpenOptions();
        BlockNode image = await opener.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
        return new Disk(options.CopyOnRead is { } copy ? CopyOnReadNode.Create(image, bottom: null, copy) : image);
    }

    /// <summary>
    /// Opens what a person names: an image, or filters on images, such as <c>blkmirror:SOURCE:DEST</c> (<see cref="FilterName"/>). For names that come from people, not
    /// from files or the network.
    /// </summary>
    /// <param name="name">An image file, or a name that asks for filters.</param>
    /// <param name="options">How the images are opened; <see cref="DiskOptions.CopyOnRead"/> also says how <c>blkstream:</c> fills.</param>
    /// <param name="mirror">How a mirror works.</param>
    /// <param name="cancellationToken">Honoured between files, and between the pieces that a mirror copies.</param>
    /// <exception cref="ArgumentException">The name cannot be read.</exception>
    /// <exception cref="BlockLayerException">As for opening an image, and what the filters refuse.</exception>
    public static async ValueTask<Disk> OpenByNameAsync(
        string name,
        DiskOptions? options = null,
        MirrorOptions? mirror = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        var opener = new FilterOpener(new ImageOpener(options.Formats, options.Environment), options.Environment)
        {
            Mirror = mirror ?? new MirrorOptions(),
            CopyOnRead = options.CopyOnRead ?? new CopyOnReadOptions(),
        };
        ImageOpenOptions how = options.ToOpenOptions();
        return new Disk(await opener.OpenAsync(name, how, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>Creates an image and opens it.</summary>
    /// <param name="path">The file; replaced if it exists, unless somebody uses it.</param>
    /// <param name="image">What to create.</param>
    /// <param name="options">How to open it; its format is taken from <paramref name="image"/>.</param>
    /// <param name="cancellationToken">Honoured between steps; a file that was begun is removed again.</param>
    /// <exception cref="ArgumentException">The format does not take what was asked for.</exception>
    /// <exception cref="BlockLayerException">As for opening, and NoSpace.</exception>
    public static async ValueTask<Disk> CreateAsync(
        string path,
        NewImage image,
        DiskOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        var creator = new ImageCreator(options.Formats, options.Environment);
        await creator.CreateAsync(path, image, options.Policy, cancellationToken).ConfigureAwait(false);
        return await OpenAsync(path, options with { Format = image.Format }, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc cref="BlockNode.ReadAsync(long, Memory{byte}, ReadFlags, CancellationToken)"/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _root.ReadAsync(offset, buffer, ReadFlags.None, cancellationToken);

    /// <inheritdoc cref="BlockNode.WriteAsync(long, ReadOnlyMemory{byte}, WriteFlags, CancellationToken)"/>
    public ValueTask WriteAsync(
        long offset,
        ReadOnlyMemory<byte> buffer,
        WriteFlags flags = WriteFlags.None,
        CancellationToken cancellationToken = default)
        => _root.WriteAsync(offset, buffer, flags, cancellationToken);

    /// <inheritdoc cref="BlockNode.WriteZeroesAsync(long, long, ZeroFlags, CancellationToken)"/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _root.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc cref="BlockNode.DiscardAsync(long, long, CancellationToken)"/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _root.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc cref="BlockNode.FlushAsync(CancellationToken)"/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => _root.FlushAsync(cancellationToken);

    /// <summary>What is known of the run that starts at <paramref name="offset"/>, and which image of the chain decides it.</summary>
    /// <exception cref="BlockLayerException">OutOfRange, Io, Corrupt.</exception>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _root.GetStatusAsync(offset, length, StatusDepth.Chain, cancellationToken);

    /// <inheritdoc cref="BlockNode.ResizeAsync(long, ResizeOptions, CancellationToken)"/>
    public ValueTask ResizeAsync(long length, ResizeOptions? options = null, CancellationToken cancellationToken = default)
        => _root.ResizeAsync(length, options, cancellationToken);

    /// <summary>The dirty bitmaps of the disk's newest image. More can be done to them by <see cref="ImageBitmaps"/> and <see cref="Root"/>.</summary>
    /// <exception cref="BlockLayerException">Corrupt: the image has bitmaps, but they cannot be located.</exception>
    public IReadOnlyList<ImageBitmap> Bitmaps => ImageBitmaps.List(_root);

    /// <inheritdoc cref="ImageBitmaps.AddAsync"/>
    public ValueTask AddBitmapAsync(string name, NewBitmap? options = null, CancellationToken cancellationToken = default)
        => ImageBitmaps.AddAsync(_root, name, options, cancellationToken);

    /// <inheritdoc cref="ImageBitmaps.RemoveAsync"/>
    public ValueTask RemoveBitmapAsync(string name, CancellationToken cancellationToken = default)
        => ImageBitmaps.RemoveAsync(_root, name, cancellationToken);

    /// <inheritdoc cref="ImageBitmaps.ReadAsync"/>
    public IAsyncEnumerable<ByteRange> ReadBitmapAsync(string name, CancellationToken cancellationToken = default)
        => ImageBitmaps.ReadAsync(_root, name, cancellationToken);

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
    /// Keeps another image equal to this disk from now on: puts a mirror below the guest, who goes on, and copies what differs.
    /// </summary>
    /// <param name="target"><c>[blkmirror:][FORMAT:]TARGET</c>, said by a person; it exists and is at least as long.</param>
    /// <param name="mirror">How the mirror works.</param>
    /// <param name="options">How the target is opened: formats, policy and, where the target does not say it, its format.</param>
    /// <param name="cancellationToken">As for <see cref="FilterOpener.AddMirrorAsync"/>.</param>
    /// <returns>The mirror, which the disk owns; <see cref="MirrorNode.RemoveAsync"/> takes it out.</returns>
    /// <exception cref="ArgumentException">The target cannot be read.</exception>
    /// <exception cref="BlockLayerException">As for opening an image; Conflict: the target is shorter, or a job needs the graph as it is.</exception>
    public ValueTask<MirrorNode> AddMirrorAsync(
        string target,
        MirrorOptions? mirror = null,
        DiskOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        BlockEnvironment environment = _root.Environment;
        var opener = new FilterOpener(new ImageOpener(options.Formats, environment), environment) { Mirror = mirror ?? new MirrorOptions() };
        return opener.AddMirrorAsync(_root.Filtered.Child, target, new ImageOpenOptions { Format = options.Format, Policy = options.Policy }, cancellationToken);
    }

    /// <summary>
    /// Ends every job that works on the disk's chain, waits for what is in flight, writes back what is dirty and closes the chain. Not a flush: what must survive a crash is
    /// flushed first.
    /// </summary>
    /// <remarks>
    /// <para>Whoever made and started the job, alone or in a <see cref="JobTransaction"/>, through the disk, its <see cref="Root"/> or an image of its chain: it is cancelled by
    /// force, and so are the other jobs of its transaction, on whatever disk. One that is being finalized already is waited for and may complete. When this returns,
    /// <see cref="BlockJob.Completion"/> tells how each ended, and nothing of it holds a file. A job that is started from now on throws an <see cref="ObjectDisposedException"/>.</para>
    /// <para>Not to be awaited by what a job of the disk waits for: a handler of its events, or <see cref="LiveCopyOptions.BeforeSwitch"/>.</para>
    /// </remarks>
    public async ValueTask DisposeAsync()
    {
        await _root.EndUsersAsync().ConfigureAwait(false);
        await _root.DisposeAsync().ConfigureAwait(false);
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

    /// <summary>
    /// Goes on with another image, whose backing file is the disk's newest one. That becomes read-only, and keeps what the disk holds now. For several disks at one
    /// moment, and for more about it, see <see cref="DiskSnapshot.TakeAsync"/>.
    /// </summary>
    /// <param name="path">The overlay's file.</param>
    /// <param name="options">How it is made, or found; null: a new qcow2 image.</param>
    /// <param name="cancellationToken">Honoured until guests are held back.</param>
    /// <exception cref="BlockLayerException">As for <see cref="DiskSnapshot.TakeAsync"/>; the disk is as before.</exception>
    public ValueTask SwitchAsync(string path, OverlayOptions? options = null, CancellationToken cancellationToken = default)
        => DiskSnapshot.TakeAsync([new DiskOverlay(this, path, options)], cancellationToken: cancellationToken);

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
