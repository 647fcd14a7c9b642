using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

// The copy loop: once over the disk. Nothing changes above the base meanwhile, so what was copied stays right.
public sealed partial class CommitJob
{
    private const int DataStep = 512 * 1024;         // bytes of data copied in one step
    private const long ZeroStep = 64L * 1024 * 1024; // bytes of zeroes written in one step
    private const int SmallStep = 64 * 1024;         // bytes of either where a simulation wants to stop it at a place
    private const int OverlappingSteps = 4;          // steps under way at once while no guest waits: reads and stores overlap

    private protected override async Task WorkAsync(CancellationToken cancellationToken)
    {
        var underWay = new CopySteps(_base.Environment, Limiter, bytes => Interlocked.Add(ref _copied, bytes));
        try
        {
            for (long at = 0; at < End || underWay.Count > 0;)
            {
                if (underWay.Count > 0 && (at >= End || underWay.Count >= StepsAllowed() || IsToPause))
                {
                    (ByteRange copied, CopyOutcome outcome, _) = await underWay.EndFirstAsync().ConfigureAwait(false);
                    if (outcome.Error is { } error)
                    {
                        await underWay.EndAllAsync().ConfigureAwait(false);
                        await DecideAsync(outcome.FailedStep, error, cancellationToken).ConfigureAwait(false);
                        at = copied.Offset;
                    }
                    else
                    {
                        ReportProgress(underWay.Count == 0 ? at : copied.End);
                    }

                    continue;
                }

                await CheckpointAsync(cancellationToken).ConfigureAwait(false);
                at = await AdvanceAsync(at, underWay, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false);
        }
    }

    // Skips a run that the base provides already, or starts a step on one that it does not. Returns where to go on.
    private async ValueTask<long> AdvanceAsync(long at, CopySteps underWay, CancellationToken cancellationToken)
    {
        BlockStatus status;
        try
        {
            status = await GetCopyStatusAsync(at, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            return underWay.Fail(new ByteRange(at, Math.Min(SmallStep, End - at)), error).End;
        }

        if (!status.IsAllocated)
        {
            if (underWay.Count == 0)
            {
                ReportProgress(at + status.Length);
            }

            return at + status.Length;
        }

        if (!await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
        {
            return at;
        }

        await _guests!.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
        long most = TakesSmallSteps ? SmallStep : status.IsZero ? ZeroStep : DataStep;
        var step = new ByteRange(at, Math.Min(status.Length, most));
        bool isZero = status.IsZero;
        underWay.Start(step, () => CopyAsync(step, isZero, cancellationToken));
        return step.End;
    }

    // Past the end of the top there are zeroes, whatever a longer base holds there.
    private async ValueTask<BlockStatus> GetCopyStatusAsync(long at, CancellationToken cancellationToken)
        => at >= _top.Length
            ? BlockStatus.Zeroes(End - at, _top)
            : await BackingChain.GetStatusAsync(_top, _images[^1], at, _top.Length - at, cancellationToken).ConfigureAwait(false);

    private async ValueTask<CopyOutcome> CopyAsync(ByteRange range, bool isZero, CancellationToken cancellationToken)
    {
        _isBaseChanged = true;
        CopyStep half = CopyStep.Read;
        try
        {
            if (isZero)
            {
                half = CopyStep.Write;
                await _filter!.StoreZeroesAsync(range.Offset, range.Length, cancellationToken).ConfigureAwait(false);
                return new CopyOutcome(range.Length, null, half);
            }

            using PooledBuffer buffer = _base.Environment.Buffers.Rent((int)range.Length);
            await _top.ReadAsync(range.Offset, buffer.Memory, ReadFlags.Prefetch, cancellationToken).ConfigureAwait(false);
            half = CopyStep.Write;
            await (ZeroBytes.IsAllZero(buffer.Span)
                ? _filter!.StoreZeroesAsync(range.Offset, range.Length, cancellationToken)
                : _filter!.StoreAsync(range.Offset, buffer.Memory, cancellationToken)).ConfigureAwait(false);
            return new CopyOutcome(range.Length, null, half);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            return new CopyOutcome(0, error, half);
        }
    }

    // What was not copied is tried again, at once or later, or ends the job: a base with a hole in it cannot take the place of the images above.
    private async ValueTask DecideAsync(CopyStep half, Exception error, CancellationToken cancellationToken)
    {
        switch (HandleError(half, error))
        {
            case JobErrorAction.Stop:
                break; // the next checkpoint pauses
            case JobErrorAction.Ignore:
                await Primitives.Pause.ForAsync(RateLimiter.Slice, _base.Environment.Time, cancellationToken).ConfigureAwait(false);
                break;
            default:
                ExceptionDispatchInfo.Throw(error);
                break;
        }
    }

    // A limit is kept step by step, and where guests wait for the disk, no second step stands before them.
    private int StepsAllowed() => BytesPerSecond == 0 && _guests!.Guests.IsQuiet && !TakesSmallSteps ? OverlappingSteps : 1;
}
