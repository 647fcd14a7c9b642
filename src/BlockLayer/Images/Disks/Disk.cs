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
    /// Goes on with another image, whose backing file is the disk's newest one. That becomes read-only, and keeps what the disk holds now. For several disks at one
    /// moment, and for more about it, see <see cref="DiskSnapshot.TakeAsync"/>.
    /// </summary>
    /// <param name="path">The overlay's file.</param>
    /// <param name="options">How it is made, or found; null: a new qcow2 image.</param>
    /// <param name="cancellationToken">Honoured until guests are held back.</param>
    /// <returns><inheritdoc cref="DiskSnapshot.TakeAsync" path="/returns"/></returns>
    /// <exception cref="ObjectDisposedException">The disk is closed, or is being closed.</exception>
    /// <exception cref="BlockLayerException">As for <see cref="DiskSnapshot.TakeAsync"/>; the disk is as before.</exception>
    public ValueTask<DiskSnapshotResult> SwitchAsync(string path, OverlayOptions? options = null, CancellationToken cancellationToken = default)
        => DiskSnapshot.TakeAsync([new DiskOverlay(this, path, options)], cancellationToken: cancellationToken);

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
}
