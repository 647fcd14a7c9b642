using System.Runtime.ExceptionServices;
using BlockLayer.Filters;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// One pass: piece by piece, what the old chain shows and the new one would is compared, and what differs is copied.
public sealed partial class RebaseJob
{
    private const int OverlappingSteps = 4; // pieces under way at once while no guest waits: reads and stores overlap

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
        var underWay = new CopySteps(_image.Environment, Limiter, bytes => Interlocked.Add(ref _copied, bytes));
        try
        {
            for (bool isAtEnd = false; !isAtEnd || underWay.Count > 0;)
            {
                if (underWay.Count > 0 && (isAtEnd || underWay.Count >= StepsAllowed() || IsToPause))
                {
                    (ByteRange compared, CopyOutcome outcome, _) = await underWay.EndFirstAsync().ConfigureAwait(false);
                    if (IsSettled(outcome))
                    {
                        ReportProgress(underWay.Count == 0 ? difference.Position : compared.End);
                    }
                    else
                    {
                        await underWay.EndAllAsync().ConfigureAwait(false);
                        difference.ReturnTo(compared.Offset);
                        isAtEnd = false;
                    }

                    continue;
                }

                await CheckpointAsync(cancellationToken).ConfigureAwait(false);
                if (await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
                {
                    await _guests!.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
                    isAtEnd = await StartNextAsync(difference, underWay, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false);
        }
    }

    // True: there is no other piece. One that could not even be found is not left out: it is looked for again, or the job fails.
    private async ValueTask<bool> StartNextAsync(BackingDifference difference, CopySteps underWay, CancellationToken cancellationToken)
    {
        try
        {
            if (await difference.NextAsync(cancellationToken).ConfigureAwait(false) is not { } piece)
            {
                return true;
            }

            underWay.Start(piece.Range, () => CopyAsync(difference, piece, cancellationToken));
        }
        catch (Exception error) when (error is not OperationCanceledException && HandleError(CopyStep.Read, error) == JobErrorAction.Stop)
        {
            // the next checkpoint pauses
        }

        return false;
    }

    private async ValueTask<CopyOutcome> CopyAsync(BackingDifference difference, BackingDifference.Piece piece, CancellationToken cancellationToken)
    {
        CopyStep half = CopyStep.Read;
        try
        {
            using PooledBuffer old = _image.Environment.Buffers.Rent(piece.Length);
            using PooledBuffer next = _image.Environment.Buffers.Rent(piece.Length);
            await difference.ReadAsync(piece, old.Memory, next.Memory, cancellationToken).ConfigureAwait(false);
            half = CopyStep.Write;
            (long data, long zeroes) = await difference.StoreAsync(piece, old.Memory, next.Memory, _guests, CancellationToken.None).ConfigureAwait(false);
            return new CopyOutcome(data + zeroes, null, half);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            return new CopyOutcome(0, error, half);
        }
    }

    // Decides about a piece that is over. True: it is copied, or left out, and the job will fail in the end. False: it is tried again, after the job was stopped.
    private bool IsSettled(CopyOutcome outcome)
    {
        if (outcome.Error is not { } error)
        {
            return true;
        }

        switch (HandleError(outcome.FailedStep, error))
        {
            case JobErrorAction.Ignore:
                _ignored ??= error;
                return true;
            case JobErrorAction.Stop:
                return false;
            default:
                ExceptionDispatchInfo.Throw(error);
                throw error;
        }
    }

    // A limit is kept step by step, and where guests wait for the disk, no second step stands before them.
    private int StepsAllowed() => BytesPerSecond == 0 && _guests!.Guests.IsQuiet && !TakesSmallSteps ? OverlappingSteps : 1;
}
