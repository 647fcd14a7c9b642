using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Images;

/// <summary>
/// Writes what an image and those between hold into an image below them, their base, and empties the image. Afterwards the base alone shows what the image showed.
/// </summary>
/// <remarks>
/// <para>The image reads the same at every moment: it hides what is written below it until the base is durable, and only then lets its own copy go. After a crash or a cancel
/// the same commit is simply run again. An image that is to be emptied and was written meanwhile keeps what it holds.</para>
/// <para>Whatever else reads the base reads something else afterwards: other overlays of it, and images between it and the committed one. <see cref="ChainPlanner"/> names
/// them before.</para>
/// </remarks>
public sealed class ImageCommitter
{
    private const int PieceLength = 512 * 1024; // as a conversion: stays in a core's cache between read and write

    private readonly BlockNode _top;
    private readonly BlockNode _bottom;
    private readonly BlockNode? _base; // null: nothing is written
    private readonly IProgress<ByteProgress>? _progress;
    private BlockStatus _run; // used by NextAsync alone; the run that begins at _runStart
    private long _runStart;   // used by NextAsync alone
    private long _cursor;     // used by NextAsync alone
    private long _data;       // interlocked
    private long _zeroes;     // interlocked

    private ImageCommitter(BlockNode top, BlockNode bottom, BlockNode? basis, IProgress<ByteProgress>? progress)
    {
        _top = top;
        _bottom = bottom;
        _base = basis;
        _progress = progress;
    }

    /// <summary>Commits an image. A base that is shorter grows first. The base is durable before the image is emptied, and both are on return.</summary>
    /// <param name="image">The image, open for writing with its chain; filters on top are looked through.</param>
    /// <param name="basis">An image of the chain, which is made writable as long as it takes; null: the image's own backing file.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told how far the copy is.</param>
    /// <param name="cancellationToken">Honoured between pieces. The base then holds part of what was committed, and the image shows what it did.</param>
    /// <exception cref="BlockLayerException">
    /// NotFound: there is no such base below the image; ReadOnly, Denied: image or base cannot be written; Unsupported: the base cannot grow, or the image cannot be emptied;
    /// Conflict: a job works with the chain, somebody else uses the base, or the image was written before it could be emptied; NoSpace, Io, Corrupt. The image shows the same as
    /// before in any case.
    /// </exception>
    public static async ValueTask<ImageCommitResult> CommitAsync(
        BlockNode image,
        BlockNode? basis = null,
        ImageCommitOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new ImageCommitOptions();
        (BlockNode top, BlockNode bottom, BlockNode target) = Find(image, basis);
        if (top.IsReadOnly)
        {
            throw Refusal(top, BlockErrorKind.ReadOnly, $"'{top.NodeName}' is open read-only; to commit it, open it for writing.");
        }

        BackingChain.ThrowIfNotWithinReach(top, target); // what else reads the base is destroyed with the first step
        IEmptiableImage? emptied = ImageToEmpty(top, bottom, options);
        if (emptied is null)
        {
            return await CopyAsync(top, bottom, target, options, progress, cancellationToken).ConfigureAwait(false);
        }

        emptied.ThrowIfCannotMakeEmpty();
        var written = new DirtyBitmap(top.Length, DirtyBitmap.MaxGranularityBits); // it is only asked whether there is anything
        using (await GraphChange.BeginAsync(top, cancellationToken).ConfigureAwait(false))
        {
            top.AttachBitmap(written);
        }

        try
        {
            ImageCommitResult result = await CopyAsync(top, bottom, target, options, progress, cancellationToken).ConfigureAwait(false);
            await emptied.MakeEmptyAsync(() => ThrowIfWritten(top, written), cancellationToken).ConfigureAwait(false);
            return result with { EmptiesImage = true };
        }
        finally
        {
            top.DetachBitmap(written);
        }
    }

    // The base is durable on return.
    private static async ValueTask<ImageCommitResult> CopyAsync(
        BlockNode top, BlockNode bottom, BlockNode target, ImageCommitOptions options, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        using (ChainClaim.Take(top, bottom, "A commit"))
        {
            BaseAccess access = await BaseAccess.TakeAsync(top, bottom, cancellationToken).ConfigureAwait(false);
            await using (access.ConfigureAwait(false))
            {
                long grown = Math.Max(0, top.Length - target.Length);
                if (grown > 0)
                {
                    await target.ResizeAsync(top.Length, cancellationToken: cancellationToken).ConfigureAwait(false);
                }

                var committer = new ImageCommitter(top, bottom, target, progress);
                await committer.RunAsync(options, cancellationToken).ConfigureAwait(false);
                await target.FlushAsync(cancellationToken).ConfigureAwait(false);
                return new ImageCommitResult(committer._data, committer._zeroes, grown, EmptiesImage: false);
            }
        }
    }

    private static void ThrowIfWritten(BlockNode top, DirtyBitmap written)
    {
        if (!written.IsEmpty)
        {
            throw Refusal(top, BlockErrorKind.Conflict, $"'{top.NodeName}' was written while it was committed, and is not emptied: what was written is in it alone. Commit it again.");
        }
    }

    /// <summary>What <see cref="CommitAsync"/> would do. Asks what is allocated, reads no data and changes nothing.</summary>
    /// <param name="image">The image, open with its chain.</param>
    /// <param name="basis">An image of the chain; null: the image's own backing file.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    /// <exception cref="BlockLayerException">NotFound: there is no such base below the image; Unsupported: the image cannot be emptied; Io, Corrupt.</exception>
    public static async ValueTask<ImageCommitResult> MeasureAsync(
        BlockNode image,
        BlockNode? basis = null,
        ImageCommitOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new ImageCommitOptions();
        (BlockNode top, BlockNode bottom, BlockNode target) = Find(image, basis);
        bool empties = ImageToEmpty(top, bottom, options) is not null;
        var committer = new ImageCommitter(top, bottom, basis: null, progress);
        await committer.RunAsync(options, cancellationToken).ConfigureAwait(false);
        return new ImageCommitResult(committer._data, committer._zeroes, Math.Max(0, top.Length - target.Length), empties);
    }

    /// <summary>The image that is committed, the last one above the base, and the base.</summary>
    /// <exception cref="BlockLayerException">NotFound.</exception>
    internal static (BlockNode Top, BlockNode Bottom, BlockNode Base) Find(BlockNode image, BlockNode? basis)
    {
        BlockNode top = image.SkipFilters();
        BlockNode target = (basis ?? top.Backing)?.SkipFilters()
            ?? throw Refusal(top, BlockErrorKind.NotFound, top.BackingReference is { } unopened
                ? $"The backing file {unopened} of '{top.NodeName}' is not open."
                : $"'{top.NodeName}' has no backing file to be committed into.");
        BlockNode bottom = BackingChain.OverlayOf(top, target)
            ?? throw Refusal(target, BlockErrorKind.NotFound, $"'{target.NodeName}' is not below '{top.NodeName}' in its backing chain.");
        return (top, bottom, target);
    }

    private static IEmptiableImage? ImageToEmpty(BlockNode top, BlockNode bottom, ImageCommitOptions options)
        => options.Committed == CommittedImage.Keep || top != bottom ? null
            : top as IEmptiableImage
                ?? throw Refusal(top, BlockErrorKind.Unsupported, $"'{top.NodeName}' ({top.DriverName}) cannot be emptied after the commit; keep what it holds.");

    private static BlockLayerException Refusal(BlockNode node, BlockErrorKind kind, string message) => new(kind, message) { NodeName = node.NodeName, Path = node.Path };

    private async ValueTask RunAsync(ImageCommitOptions options, CancellationToken cancellationToken)
    {
        await ParallelWalk.RunAsync<Piece>(_top.Environment, options.Workers, NextAsync, CommitPieceAsync, cancellationToken).ConfigureAwait(false);
        _progress?.Report(new ByteProgress(_top.Length, _top.Length));
    }

    private async ValueTask CommitPieceAsync(Piece piece, CancellationToken cancellationToken)
    {
        Interlocked.Add(ref piece.IsZero ? ref _zeroes : ref _data, piece.Length);
        if (_base is null)
        {
            return;
        }

        if (piece.IsZero)
        {
            await _base.WriteZeroesAsync(piece.Start, piece.Length, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
            return;
        }

        using PooledBuffer buffer = _top.Environment.Buffers.Rent((int)piece.Length);
        await _top.ReadAsync(piece.Start, buffer.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        await _base.WriteAsync(piece.Start, buffer.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    // Pieces of data end where a piece could start, so that two of them do not meet in a cluster of the base.
    private async ValueTask<Piece?> NextAsync(CancellationToken cancellationToken)
    {
        while (_cursor < _top.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _progress?.Report(new ByteProgress(_cursor, _top.Length));
            long start = _cursor;
            if (start >= _runStart + _run.Length)
            {
                _run = await BackingChain.GetStatusAsync(_top, _bottom, start, _top.Length - start, cancellationToken).ConfigureAwait(false);
                _runStart = start;
            }

            long end = _runStart + _run.Length;
            bool isData = _run.IsAllocated && !_run.IsZero;
            _cursor = isData && _base is not null ? Math.Min(end, Alignment.RoundDown(start, PieceLength) + PieceLength) : end;
            if (_run.IsAllocated)
            {
                return new Piece(start, _cursor - start, _run.IsZero);
            }
        }

        return null;
    }

    private readonly record struct Piece(long Start, long Length, bool IsZero);
}
