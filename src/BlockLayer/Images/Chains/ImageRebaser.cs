using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Gives an image another backing file. What the image shows stays the same, because everything that the new chain would show differently is copied into it first.
/// </summary>
/// <remarks>
/// <para>The copies are stored only where nothing is allocated, so the image reads the same at every moment, and a run after a crash or a cancel is simply another run:
/// what was copied needs no comparison. The header names the new backing file only when the copies are durable.</para>
/// <para>For images that nobody uses. Internal snapshots show the backing file where they hold nothing, so they show another one afterwards.</para>
/// </remarks>
public sealed class ImageRebaser
{
    private readonly BlockNode _image;
    private readonly BackingDifference _difference;
    private readonly bool _stores;
    private readonly IProgress<ByteProgress>? _progress;
    private long _compared; // interlocked
    private long _data;     // interlocked
    private long _zeroes;   // interlocked

    private ImageRebaser(BlockNode image, BlockNode? backing, bool stores, IProgress<ByteProgress>? progress)
    {
        _image = image;
        _difference = new BackingDifference(Origin.Door, image, image.Backing, backing);
        _stores = stores;
        _progress = progress;
    }

    /// <summary>Copies what differs and makes <paramref name="backing"/> the backing file, in the header and for the open node. Durable on return.</summary>
    /// <param name="image">The image, open for writing with its backing chain; filters on top are looked through.</param>
    /// <param name="backing">
    /// The new backing file with its chain, whose ownership passes to the image on success; null: the image is to stand alone.
    /// </param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told how far the comparison is.</param>
    /// <param name="cancellationToken">Honoured until the header is written. What was copied stays.</param>
    /// <exception cref="BlockLayerException">
    /// InvalidFormat: the new chain contains the image; Conflict: the present backing file is not open, or a job uses the image; ReadOnly; Unsupported: the format takes no copies, or cannot
    /// record the reference; NotFound: the given name leads nowhere; NoSpace, Io, Corrupt. The image shows the same as before in any case.
    /// </exception>
    public static async ValueTask<ImageRebaseResult> RebaseAsync(
        BlockNode image,
        BlockNode? backing,
        ImageRebaseOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new ImageRebaseOptions();
        BlockNode top = image.SkipFilters();
        ThrowIfUnfit(top, backing);
        BackingReference? reference = backing is null ? null : BackingName.ReferenceTo(top, backing.SkipFilters(), options.BackingName);
        top.ThrowIfCannotRecordBacking(reference);
        ImageRebaseResult result;
        BlockNode? previous;
        using (ChainClaim claim = ChainClaim.Take(top, BackingChain.Images(top).Last(), "A rebase"))
        {
            result = await new ImageRebaser(top, backing, stores: true, progress).RunAsync(options, cancellationToken).ConfigureAwait(false);
            using GraphChange change = await GraphChange.BeginAsync(top, cancellationToken).ConfigureAwait(false);
            claim.Thaw();
            previous = await BackingSwitch.RunAsync(top, backing, reference).ConfigureAwait(false);
        }

        var aftermath = new Aftermath();
        if (previous is not null)
        {
            await aftermath.DoAsync(previous.DisposeAsync).ConfigureAwait(false);
        }

        return result with { Error = aftermath.Error };
    }

    /// <summary>What <see cref="RebaseAsync"/> would copy. Reads what it would read, and changes nothing.</summary>
    /// <param name="image">The image, open with its backing chain.</param>
    /// <param name="backing">The new backing file with its chain; null: none.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told how far the comparison is.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="BlockLayerException">As for <see cref="RebaseAsync"/>, as far as it can be told before.</exception>
    public static ValueTask<ImageRebaseResult> MeasureAsync(
        BlockNode image,
        BlockNode? backing,
        ImageRebaseOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        BlockNode top = image.SkipFilters();
        ThrowIfUnfit(top, backing);
        return new ImageRebaser(top, backing, stores: false, progress).RunAsync(options ?? new ImageRebaseOptions(), cancellationToken);
    }

    /// <summary>
    /// Records another backing file and does nothing else: for a backing file that was moved or renamed. If it holds something else than the old one, so does
    /// the image from then on, and so does every image that stands on it.
    /// </summary>
    /// <remarks>Nothing is planned for it: the old backing file need not be there any more, so nobody could tell whether those images will show something else.</remarks>
    /// <param name="image">The image, open for writing without its backing chain (<see cref="BackingMode.Ignore"/>).</param>
    /// <param name="reference">What is recorded, as it is; null: no backing file.</param>
    /// <param name="cancellationToken">Honoured until something is written.</param>
    /// <exception cref="BlockLayerException">
    /// ReadOnly; InvalidFormat: the name leads to the image itself; Conflict: a job uses the image; Unsupported or NoSpace: it cannot be recorded; Io. The header is as before.
    /// </exception>
    public static async ValueTask RecordAsync(BlockNode image, BackingReference? reference, CancellationToken cancellationToken = default)
    {
        BlockNode top = image.SkipFilters();
        ThrowIfReadOnly(top);
        if (reference is not null && top.Path is { } path && ReferenceResolver.ProtocolOf(reference.Name) is null
            && top.Environment.Files.GetInfo(ReferenceResolver.PathOf(path, reference.Name)) is { } info && info.Identity == BackingName.FileOf(top)?.Storage.Identity)
        {
            throw Refusal(top, BlockErrorKind.InvalidFormat, $"'{reference.Name}' is '{top.NodeName}' itself, which cannot be its own backing file.");
        }

        using ChainClaim claim = ChainClaim.Take(top, top, "A rebase");
        using GraphChange change = await GraphChange.BeginAsync(top, cancellationToken).ConfigureAwait(false);
        top.ThrowIfCannotRecordBacking(reference);
        await top.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
        await top.RecordBackingAsync(reference, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Refuses a backing chain that contains the image: before the image is opened for writing, which such a chain would not allow.</summary>
    /// <param name="backing">The new backing file with its chain.</param>
    /// <param name="path">The image's file.</param>
    /// <exception cref="BlockLayerException">InvalidFormat: the chain would loop.</exception>
    public static void ThrowIfContains(BlockNode backing, string path)
    {
        if (backing.Environment.Files.GetInfo(path) is { } info)
        {
            ThrowIfContains(backing, info.Identity, path);
        }
    }

    private static void ThrowIfUnfit(BlockNode top, BlockNode? backing)
    {
        if (!top.Limits.SupportsPopulate)
        {
            throw Refusal(top, BlockErrorKind.Unsupported, $"'{top.NodeName}' ({top.DriverName}) takes no copies from a backing file.");
        }

        if (top.Backing is null && top.BackingReference is { } unopened)
        {
            throw Refusal(top, BlockErrorKind.Conflict, $"'{top.NodeName}' records the backing file {unopened}, which is not open: what it holds cannot be compared.");
        }

        if (backing is null)
        {
            return;
        }

        if (BackingName.FileOf(top)?.Storage.Identity is { } identity)
        {
            ThrowIfContains(backing, identity, top.NodeName);
        }
    }

    private static void ThrowIfContains(BlockNode backing, StorageIdentity identity, string image)
    {
        if (BackingChain.Images(backing).Any(node => BackingName.FileOf(node)?.Storage.Identity == identity))
        {
            string chain = string.Join(" <- ", BackingChain.Images(backing).Reverse().Select(static node => node.NodeName));
            throw new BlockLayerException(
                BlockErrorKind.InvalidFormat, $"It cannot be based on '{backing.NodeName}': it is itself part of that chain, {chain}.") { NodeName = image, Path = image };
        }
    }

    private static void ThrowIfReadOnly(BlockNode top)
    {
        if (top.IsReadOnly)
        {
            throw Refusal(top, BlockErrorKind.ReadOnly, $"'{top.NodeName}' is open read-only and cannot record a backing file.");
        }
    }

    private static BlockLayerException Refusal(BlockNode node, BlockErrorKind kind, string message) => new(kind, message) { NodeName = node.NodeName, Path = node.Path };

    private async ValueTask<ImageRebaseResult> RunAsync(ImageRebaseOptions options, CancellationToken cancellationToken)
    {
        if (_stores)
        {
            ThrowIfReadOnly(_image);
        }

        await ParallelWalk.RunAsync<BackingDifference.Piece>(_image.Environment, options.Workers, NextAsync, StorePieceAsync, cancellationToken).ConfigureAwait(false);
        _progress?.Report(new ByteProgress(_image.Length, _image.Length));
        return new ImageRebaseResult(_compared, _data, _zeroes);
    }

    private async ValueTask StorePieceAsync(BackingDifference.Piece piece, CancellationToken cancellationToken)
    {
        using PooledBuffer shown = _image.Environment.Buffers.Rent(piece.Length);
        using PooledBuffer then = _image.Environment.Buffers.Rent(piece.Length);
        await _difference.ReadAsync(piece, shown.Memory, then.Memory, cancellationToken).ConfigureAwait(false);
        (long data, long zeroes) = await _difference.StoreAsync(piece, shown.Memory, then.Memory, _stores ? _image : null, cancellationToken).ConfigureAwait(false);
        Interlocked.Add(ref _compared, piece.Length);
        Interlocked.Add(ref _data, data);
        Interlocked.Add(ref _zeroes, zeroes);
    }

    private ValueTask<BackingDifference.Piece?> NextAsync(CancellationToken cancellationToken)
    {
        _progress?.Report(new ByteProgress(_difference.Position, _image.Length));
        return _difference.NextAsync(cancellationToken);
    }
}
