using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>
/// Compares what two images show a guest. Runs that both know to be zero are not read. Several pieces are compared at a time, begun in ascending
/// order; the answer is the lowest difference, whichever is found first.
/// </summary>
public sealed class ImageComparer
{
    private const int PieceLength = 1024 * 1024;

    private readonly BlockNode _left;
    private readonly BlockNode _right;
    private readonly CompareMode _mode;
    private readonly IProgress<ByteProgress>? _progress;
    private readonly StatusCursor _leftCursor;   // used by NextAsync alone
    private readonly StatusCursor _rightCursor;  // used by NextAsync alone
    private readonly Lock _gate = new();
    private readonly long _end;
    private long _cursor;                        // used by NextAsync alone
    private long _firstDifference = long.MaxValue; // guarded by _gate
    private CompareOutcome _outcome;             // guarded by _gate

    private ImageComparer(BlockNode left, BlockNode right, CompareMode mode, IProgress<ByteProgress>? progress)
    {
        _left = left;
        _right = right;
        _mode = mode;
        _progress = progress;
        _leftCursor = new StatusCursor(left, StatusDepth.Chain);
        _rightCursor = new StatusCursor(right, StatusDepth.Chain);
        _end = Math.Max(left.Length, right.Length);
    }

    private enum Reading
    {
        Both,
        LeftMustBeZero,
        RightMustBeZero,
    }

    /// <summary>Compares two images, chains included. Both may be the same node.</summary>
    /// <exception cref="Errors.BlockLayerException">Io, Corrupt, Unsupported: one of them cannot be read.</exception>
    public static async ValueTask<CompareResult> CompareAsync(
        BlockNode left,
        BlockNode right,
        CompareMode mode = CompareMode.Content,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        bool sizesDiffer = left.Length != right.Length;
        if (sizesDiffer && mode == CompareMode.Strict)
        {
            return new CompareResult(CompareOutcome.SizeDiffers, Offset: null, SizesDiffer: true);
        }

        var comparer = new ImageComparer(left, right, mode, progress);
        await ParallelWalk.RunAsync<Piece>(left.Environment, overlapping: null, comparer.NextAsync, comparer.ComparePieceAsync, cancellationToken).ConfigureAwait(false);
        progress?.Report(new ByteProgress(comparer._end, comparer._end));
        return comparer._outcome == CompareOutcome.Identical
            ? new CompareResult(CompareOutcome.Identical, Offset: null, sizesDiffer)
            : new CompareResult(comparer._outcome, comparer._firstDifference, sizesDiffer);
    }

    private async ValueTask ComparePieceAsync(Piece piece, CancellationToken cancellationToken)
    {
        long? difference = piece.Reading switch
        {
            Reading.LeftMustBeZero => await FindNonZeroAsync(_left, piece, cancellationToken).ConfigureAwait(false),
            Reading.RightMustBeZero => await FindNonZeroAsync(_right, piece, cancellationToken).ConfigureAwait(false),
            _ => await FindDifferenceAsync(piece, cancellationToken).ConfigureAwait(false),
        };
        if (difference is { } offset)
        {
            Record(offset, CompareOutcome.ContentDiffers);
        }
    }

    /// <summary>The next piece that has to be read; null at the end, or past a difference that is known already.</summary>
    private async ValueTask<Piece?> NextAsync(CancellationToken cancellationToken)
    {
        while (_cursor < _end && _cursor < FirstDifference())
        {
            cancellationToken.ThrowIfCancellationRequested();
            long start = _cursor;
            BlockStatus left = await _leftCursor.AtAsync(start, cancellationToken).ConfigureAwait(false);
            BlockStatus right = await _rightCursor.AtAsync(start, cancellationToken).ConfigureAwait(false);
            const StatusFlags Compared = StatusFlags.Allocated | StatusFlags.Data | StatusFlags.Zero;
            if (_mode == CompareMode.Strict && (left.Flags & Compared) != (right.Flags & Compared))
            {
                Record(start, CompareOutcome.AllocationDiffers);
                return null;
            }

            long length = Math.Min(Math.Min(left.Length, right.Length), _end - start);
            bool bothZero = left.IsZero && right.IsZero;
            _cursor = start + (bothZero ? length : Math.Min(length, PieceLength));
            _progress?.Report(new ByteProgress(start, _end));
            if (!bothZero)
            {
                Reading reading = left.IsZero ? Reading.RightMustBeZero : right.IsZero ? Reading.LeftMustBeZero : Reading.Both;
                return new Piece(start, (int)(_cursor - start), reading);
            }
        }

        return null;
    }

    private static async ValueTask<long?> FindNonZeroAsync(BlockNode node, Piece piece, CancellationToken cancellationToken)
    {
        using PooledBuffer buffer = node.Environment.Buffers.Rent(piece.Length);
        await node.ReadAsync(piece.Start, buffer.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        int at = buffer.Span.IndexOfAnyExcept((byte)0);
        return at < 0 ? null : piece.Start + at;
    }

    private async ValueTask<long?> FindDifferenceAsync(Piece piece, CancellationToken cancellationToken)
    {
        using PooledBuffer left = _left.Environment.Buffers.Rent(piece.Length);
        using PooledBuffer right = _left.Environment.Buffers.Rent(piece.Length);
        await _left.ReadAsync(piece.Start, left.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        await _right.ReadAsync(piece.Start, right.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        int equal = left.Span.CommonPrefixLength(right.Span);
        return equal == piece.Length ? null : piece.Start + equal;
    }

    private long FirstDifference()
    {
        lock (_gate)
        {
            return _firstDifference;
        }
    }

    private void Record(long offset, CompareOutcome outcome)
    {
        lock (_gate)
        {
            if (offset < _firstDifference)
            {
                _firstDifference = offset;
                _outcome = outcome;
            }
        }
    }

    private readonly record struct Piece(long Start, int Length, Reading Reading);
}
