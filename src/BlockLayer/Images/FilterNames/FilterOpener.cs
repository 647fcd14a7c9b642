using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>Opens what a person names: an image, or filters on images (<see cref="FilterName"/>). What images refer to is opened by the opener, under its policy.</summary>
public sealed class FilterOpener
{
    /// <summary>What is added to the name of a mirror's destination to name its log.</summary>
    public const string MirrorLogSuffix = ".mirror-log";

    private readonly ImageOpener _opener;
    private readonly BlockEnvironment _environment;

    /// <summary>An opener of filters over one of images.</summary>
    public FilterOpener(ImageOpener opener, BlockEnvironment environment)
    {
        _opener = opener;
        _environment = environment;
    }

    /// <summary>How mirrors work.</summary>
    public MirrorOptions Mirror { get; init; } = new();

    /// <summary>How images are filled that are opened as <c>blkstream:</c>.</summary>
    public CopyOnReadOptions CopyOnRead { get; init; } = new();

    /// <summary>
    /// Opens an image or filters on images. The options are those of the image that is shown; a reference is raw, and a mirror's destination has the format that the
    /// name says, else that of the source's options. A mirror opened to be written has its log beside the destination, DEST.mirror-log, and copies what may differ before it is open.
    /// </summary>
    /// <returns>The top, owned by the caller.</returns>
    /// <exception cref="ArgumentException">The name, limits or rules cannot be read; nothing was opened.</exception>
    /// <exception cref="BlockLayerException">As for opening images, and what the filters refuse.</exception>
    public async ValueTask<BlockNode> OpenAsync(string name, ImageOpenOptions options, CancellationToken cancellationToken = default)
    {
        if (!FilterName.IsOne(name))
        {
            return await _opener.OpenAsync(name, options, cancellationToken).ConfigureAwait(false);
        }

        FilterName filter = FilterName.Parse(name);
        ThrottleLimits limits = filter.Kind == FilterKind.Throttle ? ThrottleLimits.Parse(filter.Settings) : ThrottleLimits.None;
        IReadOnlyList<NodeFault> faults = filter.Kind == FilterKind.Faults ? NodeFault.ParseAll(filter.Settings) : [];
        BlockNode image = await OpenAsync(filter.Image, options, cancellationToken).ConfigureAwait(false);
        try
        {
            return filter.Kind switch
            {
                FilterKind.Stream => CopyOnReadNode.Create(image, bottom: null, CopyOnRead),
                FilterKind.Throttle => new ThrottleNode(image, new ThrottleGroup(_environment.Time, limits)),
                FilterKind.Faults => new FaultInjectionNode(image, faults),
                FilterKind.Verify => await OpenReferenceAsync(image, filter.OtherFile!, options, cancellationToken).ConfigureAwait(false),
                _ => await OpenMirrorAsync(image, filter, options, cancellationToken).ConfigureAwait(false),
            };
        }
        catch
        {
            await image.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Puts a mirror on top of an image that is open, under its users, who go on meanwhile: all of it or, after a failure, nothing. What the two sides may differ in
    /// is copied before this returns, unless <see cref="Mirror"/> leaves it for later.
    /// </summary>
    /// <param name="node">The image, or the uppermost filter on it that the mirror is to cover.</param>
    /// <param name="target"><c>[blkmirror:][FORMAT:]TARGET</c>; the target exists, is at least as long, and has its log beside it.</param>
    /// <param name="options">How the target is opened, for writing.</param>
    /// <param name="cancellationToken">Honoured until the mirror is in place, and between the pieces that it copies; then it stays, and its repair can be called again.</param>
    /// <returns>The mirror, owned by its users; <see cref="MirrorNode.RemoveAsync"/> takes it out again.</returns>
    /// <exception cref="ArgumentException">The target cannot be read.</exception>
    /// <exception cref="BlockLayerException">As for opening an image; InvalidFormat: the target is a file of the image's own chain; Conflict: the target is shorter, or a job needs the graph as it is.</exception>
    public async ValueTask<MirrorNode> AddMirrorAsync(BlockNode node, string target, ImageOpenOptions options, CancellationToken cancellationToken = default)
    {
        (string? format, string path) = FilterName.ParseMirrorTarget(target);
        SourceFiles.ThrowIfAmong(node, path);
        ImageOpenOptions how = Beside(options, format ?? options.Format) with { Access = node.IsReadOnly ? NodeAccess.ReadOnly : NodeAccess.ReadWrite };
        BlockNode destination = await _opener.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
        BlockNode? log = null;
        MirrorNode mirror;
        try
        {
            log = await OpenLogAsync(path + MirrorLogSuffix, how, cancellationToken).ConfigureAwait(false);
            mirror = await MirrorNode.InsertAsync(node, destination, log, Mirror, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await destination.DisposeAsync().ConfigureAwait(false);
            if (log is not null)
            {
                await log.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }

        if (Mirror.Sync == MirrorSync.Copy && !mirror.IsReadOnly)
        {
            await mirror.RepairAsync(progress: null, cancellationToken).ConfigureAwait(false);
        }

        return mirror;
    }

    private async ValueTask<BlockNode> OpenReferenceAsync(BlockNode image, string path, ImageOpenOptions options, CancellationToken cancellationToken)
    {
        BlockNode reference = await _opener.OpenAsync(path, Beside(options, "raw"), cancellationToken).ConfigureAwait(false);
        try
        {
            return await VerifyNode.CreateAsync(image, reference).ConfigureAwait(false);
        }
        catch
        {
            await reference.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask<BlockNode> OpenMirrorAsync(BlockNode source, FilterName name, ImageOpenOptions options, CancellationToken cancellationToken)
    {
        string path = name.OtherFile!;
        SourceFiles.ThrowIfAmong(source, path);
        BlockNode destination = await _opener.OpenAsync(path, Beside(options, name.Format ?? options.Format), cancellationToken).ConfigureAwait(false);
        BlockNode? log = null;
        try
        {
            log = await OpenLogAsync(path + MirrorLogSuffix, options, cancellationToken).ConfigureAwait(false);
            return await MirrorNode.OpenAsync(source, destination, log, Mirror, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await destination.DisposeAsync().ConfigureAwait(false);
            if (log is not null)
            {
                await log.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }
    }

    // What is said of the image itself does not hold for the file beside it.
    private static ImageOpenOptions Beside(ImageOpenOptions options, string? format)
        => options with { Format = format, FormatOptions = new Dictionary<string, string>(), Snapshot = null };

    // A mirror that is only read needs no log, but believes one that is there.
    private async ValueTask<BlockNode?> OpenLogAsync(string path, ImageOpenOptions options, CancellationToken cancellationToken)
    {
        bool writable = options.Access == NodeAccess.ReadWrite;
        bool exists = _environment.Files.GetInfo(path) is not null;
        if (!writable && !exists)
        {
            return null;
        }

        var how = new StorageOpenOptions
        {
            Writable = writable,
            Mode = exists ? StorageOpenMode.OpenExisting : StorageOpenMode.CreateNew,
            Lock = options.Locking == ImageLocking.Ignore ? null : writable ? ImageLock.Writer : ImageLock.Reader,
        };
        BlockStorage file = await _environment.Files.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
        if (!exists)
        {
            await _environment.Files.FlushDirectoryAsync(path, cancellationToken).ConfigureAwait(false); // a log that a crash forgets would be believed to be new
        }

        return new StorageNode(file, _environment);
    }
}
