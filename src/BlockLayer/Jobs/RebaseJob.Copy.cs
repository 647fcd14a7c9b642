using System.Runtime.ExceptionServices;
using BlockLayer.Filters;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// One pass: piece by piece, what the old chain shows and the new one would is compared, and what differs is copied.
public sealed partial class RebaseJob
{
    private protected override async Task WorkAsync(CancellationToken cancellationToken)
    {
        if (_difference is not null)
        {
            await CopyAsync(_difference, cancellationToken).ConfigureAwait(false);
            if (_ignored is { } error)
            {
                ExceptionDispatchInfo.Throw(error); // what was left out differs: the backing file stays, and the job tells its first error
            }
        }

        ReportProgress(End);
    }

    private async ValueTask CopyAsync(BackingDifference difference, CancellationToken cancellationToken)
    {
        using PooledBuffer shown = _image.Environment.Buffers.Rent(difference.BufferLength);
        using PooledBuffer then = _image.Environment.Buffers.Rent(difference.BufferLength);
        for (BackingDifference.Piece? again = null; ;)
        {
            await CheckpointAsync(cancellationToken).ConfigureAwait(false);
            if (!await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
            {
                continue;
            }

            await _guests!.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
            CopyStep half = CopyStep.Read;
            BackingDifference.Piece? piece = again;
            try
            {
                piece ??= await difference.NextAsync(cancellationToken).ConfigureAwait(false);
                if (piece is not { } found)
                {
                    return;
                }

                int length = found.Length;
                await difference.ReadAsync(found, shown.Memory[..length], then.Memory[..length], cancellationToken).ConfigureAwait(false);
                half = CopyStep.Write;
                await StoreAsync(difference, found, shown.Memory[..length], then.Memory[..length]).ConfigureAwait(false);
                again = null;
                ReportProgress(difference.Position);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                again = Decide(half, error, piece) ? null : piece;
            }
        }
    }

    // Whole runs of units that need the same. What a guest has written meanwhile is not overwritten.
    private async ValueTask StoreAsync(BackingDifference difference, BackingDifference.Piece piece, ReadOnlyMemory<byte> shown, ReadOnlyMemory<byte> then)
    {
        for (int at = 0; at < piece.Length;)
        {
            int length = difference.NextRun(shown.Span[at..], then.Span[at..], out CopyNeed need);
            long offset = piece.Start + at;
            if (need != CopyNeed.Nothing)
            {
                await (need == CopyNeed.Zeroes
                    ? _guests!.PopulateZeroesAsync(offset, length, CancellationToken.None)
                    : _guests!.PopulateAsync(offset, shown.Slice(at, length), CancellationToken.None)).ConfigureAwait(false);
                Limiter.Account(length);
                Interlocked.Add(ref _copied, length);
            }

            at += length;
        }
    }

    // True: the piece is left out, and the job will fail in the end. False: it is tried again, after the job was stopped. A piece that could not even be found cannot be
    // left out.
    private bool Decide(CopyStep half, Exception error, BackingDifference.Piece? piece)
    {
        switch (HandleError(half, error))
        {
            case JobErrorAction.Ignore when piece is not null:
                _ignored ??= error;
                return true;
            case JobErrorAction.Stop:
                return false;
            default:
                ExceptionDispatchInfo.Throw(error);
                throw error;
        }
    }
}
